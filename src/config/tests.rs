use super::*;
#[test]
fn scratch() {
    for s in [
        "a = ",
        "[x\ny = 1",
        "a = 1\na = 2",
        "a = 'x\nb = = 3\nregion = \"x\"",
        "[a]\n[a]",
        "[[endpoint]]\n  foo = 1\n\n[[endpoint]]\nservice='ssm'\n[[endpoint]]\nservice='ssm'\n",
        "[endpoint]\nx=1",
        "[[egress]]\nx=1",
        "x.y.z = 1",
        "\u{feff}interval = 3",
        "interval = \"30s\"\n]",
        "interval = 30s",
        "region = us-east-1",
        "[egress]\r\ninterval = 30s\r\nx = 5",
    ] {
        println!("--- {s:?}");
        match Config::parse(s, "x.toml") {
            Ok(_) => println!("ok"),
            Err(e) => println!("{e}"),
        }
    }
}
