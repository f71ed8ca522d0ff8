//! Modules of the C library's name service switch that do what no module should: one never
//! returns, one crashes. Both for CloudWatch's name alone.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::agent;

const SOURCE: &str = r#"
#include <nss.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct gaih_addrtuple;

enum nss_status _nss_lab@NAME@_gethostbyname4_r(const char *name, struct gaih_addrtuple **pat,
    char *buffer, size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp)
{
    if (strncmp(name, "monitoring.", 11) == 0)
        @DOES@
    *h_errnop = 1; /* HOST_NOT_FOUND */
    return NSS_STATUS_NOTFOUND;
}
"#;

/// The folder of `libnss_labhangs.so.2` and `libnss_labcrashes.so.2`, for LD_LIBRARY_PATH.
pub fn modules() -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = agent::scratch("nss");
        fs::create_dir_all(&folder).unwrap();
        for (name, does) in [("hangs", "for (;;) pause();"), ("crashes", "*(volatile int *)0 = 1;")] {
            let source = folder.join(format!("{name}.c"));
            fs::write(&source, SOURCE.replace("@NAME@", name).replace("@DOES@", does)).unwrap();
            let library = folder.join(format!("libnss_lab{name}.so.2"));
            let built =
                Command::new("gcc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).status();
            assert!(built.is_ok_and(|status| status.success()), "gcc is needed to build an NSS module");
        }
        folder
    });
    folder.to_str().unwrap().to_owned()
}
