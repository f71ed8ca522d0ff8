//! What was meant by a name that no endpoint service has.

use super::{entries, rows};
use crate::suggestion;

/// The services that a wrong name may stand for: those that SDKs or people call so, else those
/// that are spelled nearly so.
pub fn suggestions(word: &str) -> Vec<&'static str> {
    let word = normalized(word);
    let called: Vec<&str> =
        rows().filter(|row| row.also_called().any(|called| called == word)).map(|row| row.service).collect();
    if !called.is_empty() {
        return called.into_iter().take(suggestion::MOST).collect();
    }
    let services = entries().map(|entry| entry.service());
    let names = services.map(|service| (service, service));
    let called = rows().flat_map(|row| row.also_called().map(move |called| (called, row.service)));
    let known: Vec<(&str, &str)> = names.chain(called).collect();
    let mut found = Vec::new();
    for near in suggestion::nearest(&word, known.iter().map(|(name, _)| *name)) {
        let services = known.iter().filter(|(name, _)| *name == near).map(|(_, service)| *service);
        found.extend(services);
    }
    let mut unique = Vec::new();
    for service in found {
        if !unique.contains(&service) && unique.len() < suggestion::MOST {
            unique.push(service);
        }
    }
    unique
}

/// As people and consoles write it: `AWS Systems Manager`, `Amazon ECR`, `secrets_manager`.
fn normalized(word: &str) -> String {
    let word = word.trim().to_lowercase().replace([' ', '_'], "-");
    let bare = ["aws-", "amazon-"].iter().find_map(|brand| word.strip_prefix(brand));
    bare.unwrap_or(&word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sdks_and_people_lead_to_the_service() {
        for (word, services) in [
            ("cloudwatch", &["monitoring"][..]),
            ("Amazon CloudWatch", &["monitoring"]),
            ("cloudwatch-logs", &["logs"]),
            ("ecr", &["ecr.api", "ecr.dkr"]),
            ("stepfunctions", &["states", "sync-states"]),
            ("efs", &["elasticfilesystem"]),
            ("kinesis", &["kinesis-streams"]),
            ("firehose", &["kinesis-firehose"]),
            ("mwaa", &["airflow.api", "airflow.env", "airflow.ops"]),
            ("AWS Systems Manager", &["ssm"]),
            ("elbv2", &["elasticloadbalancing"]),
            ("secrets_manager", &["secretsmanager"]),
            ("memorydb", &["memory-db"]),
            ("sagemaker", &["sagemaker.api", "sagemaker.runtime"]),
        ] {
            assert_eq!(suggestions(word), services, "{word}");
        }
    }

    #[test]
    fn slips_lead_to_the_nearest_service() {
        for (word, service) in [
            ("monitorng", "monitoring"),
            ("monitroing", "monitoring"),
            ("lamda", "lambda"),
            ("monitoring-fips", "monitoring"),
            ("cloudwach", "monitoring"),
            ("ssmmesages", "ssmmessages"),
        ] {
            assert_eq!(suggestions(word).first(), Some(&service), "{word}");
        }
        for stranger in ["", "-", "quantum-teleporter", &"x".repeat(10_000)] {
            assert_eq!(suggestions(stranger), Vec::<&str>::new(), "{stranger:.20}");
        }
    }
}
