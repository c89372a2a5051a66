use anyhow::bail;
use auth::{PublicKeys, SigningKey};

/// A parameter in the Parameter Store: the last part of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setting {
    /// The pooled endpoint, for the functions.
    DatabaseUrl,
    /// The direct endpoint, for migrations.
    DatabaseUrlUnpooled,
    JwtSigningKey,
    JwtPublicKeys,
    /// The next signing key, during a rotation.
    JwtSigningKeyNext,
    /// The versions that the running functions have read: not a secret.
    Released,
    /// What can be live again: not a secret.
    Deployments,
}

impl Setting {
    /// What a stage needs to be deployed.
    pub(crate) const REQUIRED: [Self; 4] =
        [Self::DatabaseUrl, Self::DatabaseUrlUnpooled, Self::JwtSigningKey, Self::JwtPublicKeys];

    /// What the functions read at start-up.
    pub(crate) const OF_FUNCTIONS: [Self; 3] = [Self::DatabaseUrl, Self::JwtSigningKey, Self::JwtPublicKeys];

    pub(crate) fn is_secret(self) -> bool {
        !matches!(self, Self::Released | Self::Deployments)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DatabaseUrl => "database-url",
            Self::DatabaseUrlUnpooled => "database-url-unpooled",
            Self::JwtSigningKey => "jwt-signing-key",
            Self::JwtPublicKeys => "jwt-public-keys",
            Self::JwtSigningKeyNext => "jwt-signing-key-next",
            Self::Released => "released",
            Self::Deployments => "deployments",
        }
    }

    /// Parses a value as its reader will. Errors do not repeat the value.
    pub(crate) fn validate(self, value: &str) -> anyhow::Result<()> {
        match self {
            Self::DatabaseUrl => {
                let config = db::Config::new(value, None)?;
                if let Some(pooled) = db::pooler::pooled(config.host()) {
                    bail!(
                        "{} is Neon's direct endpoint, whose connections would run out: use the pooled one, {pooled}",
                        config.host()
                    );
                }
            }
            Self::DatabaseUrlUnpooled => {
                migrate::Endpoint::new(value, None)?;
            }
            Self::JwtSigningKey | Self::JwtSigningKeyNext => {
                value.parse::<SigningKey>()?;
            }
            Self::JwtPublicKeys => {
                value.parse::<PublicKeys>()?;
            }
            Self::Released | Self::Deployments => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(setting: Setting, value: &str) -> String {
        format!("{:#}", setting.validate(value).unwrap_err())
    }

    #[test]
    fn neons_endpoints_are_not_mistaken_for_each_other() {
        let url = |host: &str| format!("postgresql://owner:hunter2@{host}/neondb?sslmode=require");
        let (direct, pooled) =
            ("ep-calm-sea-1.eu-central-1.aws.neon.tech", "ep-calm-sea-1-pooler.eu-central-1.aws.neon.tech");
        Setting::DatabaseUrl.validate(&url(pooled)).unwrap();
        Setting::DatabaseUrlUnpooled.validate(&url(direct)).unwrap();
        for (setting, given, advice) in [
            (Setting::DatabaseUrl, direct, format!("use the pooled one, {pooled}")),
            (Setting::DatabaseUrlUnpooled, pooled, format!("use the direct endpoint, {direct}")),
        ] {
            let message = refusal(setting, &url(given));
            assert!(message.contains(&advice) && !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn an_invalid_value_is_refused_without_being_repeated() {
        for (setting, value) in [
            (Setting::DatabaseUrl, "mysql://u:hunter2@h/d"),
            (Setting::DatabaseUrl, "postgresql://u:hunter2@h/d?sslmode=disable"),
            (Setting::DatabaseUrlUnpooled, "hunter2"),
            (Setting::JwtSigningKey, "hunter2"),
            (Setting::JwtPublicKeys, "hunter2,hunter2"),
        ] {
            assert!(!refusal(setting, value).contains("hunter2"), "{}", setting.name());
        }
    }
}
