//! How the layers of a configuration lie over each other.

use std::time::Duration;

use super::*;
use crate::config::{Channel, LogFormat};

const NO_ENV: [(&str, &str); 0] = [];

fn with_file(text: &str, env: &[(&str, &str)]) -> Result<Loaded> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qyvo.toml");
    std::fs::write(&path, text).unwrap();
    Config::load_from(&Flags::default(), env.iter().copied(), &[directory.path().join("none"), path])
}

#[test]
fn later_sources_override_earlier_ones() {
    let nothing = Config::load_from(&Flags::default(), NO_ENV, &[]).unwrap();
    assert_eq!(nothing.config, Config::default());
    assert!(nothing.sources.is_empty());

    let file = "[server]\nbind = \"0.0.0.0:80\"\nmax_body = \"1MiB\"\n[storage]\npath = \"a.db\"\n\
                [sessions]\ndefault_ttl = \"2h\"\n[limits]\nrequests_per_minute = 7";
    let env = [
        ("QYVO_SERVER_BIND", "0.0.0.0:81"),
        ("QYVO_STORAGE_PATH", "b.db"),
        ("QYVO_SESSIONS_SWEEP_INTERVAL", "250ms"),
        ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "8"),
        ("QYVO_LOG_LEVEL", "warn,qyvo=debug"),
        ("QYVO_LOG_FORMAT", ""),
        ("QYVO_TOKEN", "a client's"),
        ("QYVO_SERVER", "no key"),
        ("QYVO_STORAGE_PTH", "a slip"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("any.toml");
    std::fs::write(&path, file).unwrap();
    let flags = Flags {
        config: Some(path.clone()),
        database: Some("c.db".into()),
        bind: Some(SocketAddr::from(([127, 0, 0, 1], 82))),
    };
    let Loaded { config, sources, unknown } = Config::load(&flags, env).unwrap();
    assert_eq!(unknown, ["QYVO_STORAGE_PTH"]);
    assert_eq!(sources, [path.display().to_string()]);
    assert_eq!(config.server.max_body.bytes(), 1024 * 1024, "from the file");
    assert_eq!(config.sessions.default_ttl, Duration::from_secs(7200), "from the file");
    assert_eq!(config.limits.requests_per_minute, 8, "from the environment");
    assert_eq!(config.sessions.sweep_interval, Duration::from_millis(250), "from the environment");
    assert_eq!(config.log.level.as_str(), "warn,qyvo=debug");
    assert_eq!(config.log.format, LogFormat::Text, "an empty variable is unset");
    assert_eq!(config.server.bind.port(), 82, "from a flag");
    assert_eq!(config.storage.path, Path::new("c.db"), "from a flag");
    assert_eq!(config.channel, Channel::default());
}

#[test]
fn takes_the_first_file_of_the_search_and_no_other_than_the_named_one() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = ["a.toml", "b.toml"].map(|name| directory.path().join(name));
    std::fs::write(&first, "[limits]\nrequests_per_minute = 1").unwrap();
    std::fs::write(&second, "[limits]\nrequests_per_minute = 2").unwrap();
    let search = [first, second.clone()];
    let limit = |flags: &Flags| Config::load_from(flags, NO_ENV, &search).map(|it| it.config.limits);
    assert_eq!(limit(&Flags::default()).unwrap().requests_per_minute, 1);
    let named = Flags { config: Some(second), ..Flags::default() };
    assert_eq!(limit(&named).unwrap().requests_per_minute, 2);

    let missing = Flags { config: Some(directory.path().join("none.toml")), ..Flags::default() };
    let error = limit(&missing).unwrap_err().to_string();
    assert!(error.contains("--config") && error.contains("none.toml"), "{error}");
    let directory_as_file = Config::load_from(&Flags::default(), NO_ENV, &[directory.path().to_owned()]);
    assert!(directory_as_file.unwrap_err().message().contains("Make it readable"));
}

#[test]
fn errors_in_the_file_name_it_and_the_key_and_say_what_to_write() {
    for (text, expected) in [
        ("[server]\nbind = \"localhost\"", "`server.bind`: `localhost` is not an IP address with a port"),
        ("[server]\nbind = \"localhost\"", "Write for example bind = \"127.0.0.1:8080\" in [server]."),
        ("[server]\nport = 80", "`server.port`: unknown field `port`, expected one of `bind`"),
        ("[sever]\nport = 80", "unknown field `sever`, expected one of `server`"),
        ("server = 80", "It is a section: write [server] and its keys below it."),
        ("[server]\nmax_body = 262144", "Write for example max_body = \"256KiB\" in [server]."),
        ("[server]\nmax_body = \"12\"", "one of KiB, MiB, GiB, KB, MB"),
        ("[server]\nmax_body = \"1.5MiB\"", "a whole number and one of"),
        ("[server]\nmax_body = \"1000KiB\"\nmax_body = \"1MiB\"", "line 3 is not TOML: duplicate key"),
        ("[server\nmax_body = \"1000KiB\"", "line 1 is not TOML"),
        ("[storage]\npath = \"\"", "`storage.path`: the path is empty"),
        ("[storage]\nsynchronous = \"extra\"", "`storage.synchronous`: unknown variant `extra`, expected one of"),
        ("[sessions]\ndefault_ttl = \"90s\"", "`sessions.default_ttl`: 1m 30s is not a time to live"),
        ("[sessions]\ndefault_ttl = \"0m\"", "1 to 43,200 whole minutes"),
        ("[sessions]\ndefault_ttl = \"43201m\"", "1 to 43,200 whole minutes"),
        ("[sessions]\ndefault_ttl = \"60s 1ns\"", "1 to 43,200 whole minutes"),
        ("[sessions]\ndefault_ttl = 30", "Write for example default_ttl = \"30m\" in [sessions]."),
        ("[sessions]\nsweep_interval = \"9ms\"", "`sessions.sweep_interval`: 9ms is out of range: 10ms to 1h"),
        ("[sessions]\nsweep_interval = \"61m\"", "10ms to 1h are allowed"),
        ("[limits]\nrequests_per_minute = -1", "Write for example requests_per_minute = 6000 in [limits]."),
        (
            "[channel]\ndefault = \"pigeon\"",
            "`channel.default`: `pigeon` is not a channel: write `auto`, `simulator`, ",
        ),
        ("[outbox]\nunknown_after = \"0s\"", "1s to 1h are allowed"),
        ("[webhook]\ntext_chars = 999", "1,000 to 65,536 are allowed"),
        ("[whatsapp]\nphone_number_id = \"1/../2\"", "`1/../2` is not an id"),
        ("[whatsapp]\nmessages_per_second = 0", "1 to 1,000 are allowed"),
        ("[whatsapp]\nresend = \"some\"", "expected one of `none`, `texts`, `all`"),
        ("[routing]\nopt_out_words = [\"de: \"]", "a word is blank"),
        ("[routing]\ncolleague_pause = \"30s\"", "1m to 7d are allowed, and 0s for none"),
        ("[routing]\nfallback_flow = \"7\"", "is not the id of a flow"),
        ("[log]\nlevel = \"verbose\"", "`log.level`: `verbose` is not a log level"),
        ("[log]\nlevel = \"qyvo=loud\"", "`log.level`: `qyvo=loud` is not a log filter"),
        ("[log]\nlevel = \" \"", "write one of off, error"),
        ("[log]\nformat = \"xml\"", "`log.format`: unknown variant `xml`, expected `text` or `json`"),
    ] {
        let error = with_file(text, &[]).unwrap_err().to_string();
        assert!(error.contains("qyvo.toml") && error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn errors_in_the_environment_name_the_variable() {
    for (name, value, expected) in [
        ("QYVO_SERVER_BIND", "80", "QYVO_SERVER_BIND: `80` is not an IP address with a port"),
        ("QYVO_SERVER_BIND", "80", ". Write for example QYVO_SERVER_BIND=127.0.0.1:8080"),
        ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "many", "`many` is not a whole number in digits"),
        (
            "QYVO_LIMITS_REQUESTS_PER_MINUTE",
            "-1",
            "QYVO_LIMITS_REQUESTS_PER_MINUTE: -1 is out of range: 0 to 4294967295",
        ),
        ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "-1", "Write for example QYVO_LIMITS_REQUESTS_PER_MINUTE=6000"),
        ("QYVO_CHANNEL_DEFAULT", "sms", "QYVO_CHANNEL_DEFAULT: `sms` is not a channel"),
    ] {
        let error = with_file("", &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("qyvo.toml"), "{name}={value}\n{error}");
    }
    let both = with_file("[log]\nlevel = \"loud\"", &[("QYVO_LOG_LEVEL", "info")]).unwrap_err().to_string();
    assert!(both.contains("qyvo.toml"), "what is overridden must be valid too: {both}");
    let flags = Flags { database: Some(PathBuf::new()), ..Flags::default() };
    assert!(Config::load_from(&flags, NO_ENV, &[]).unwrap_err().message().contains("--database"));
}

#[cfg(unix)]
#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "correct horse\n").unwrap();
    let load = |path: &Path| Config::load_from(&Flags::default(), [("QYVO_ADMIN_PASSWORD_FILE", path)], &[]);
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.config.admin.password.expose(), "correct horse");
    assert_eq!(loaded.config.origins.get("admin.password"), Some(&Origin::Environment));
    assert!(loaded.unknown.is_empty());
    let missing = load(&directory.path().join("none")).unwrap_err().to_string();
    assert!(missing.contains("QYVO_ADMIN_PASSWORD_FILE") && missing.contains("none"), "{missing}");
    std::fs::write(&path, "short").unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("at least 10 characters"));
}

#[test]
fn only_variables_of_ours_must_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = || OsString::from_vec(vec![0xff]);
    let load = |name: &str| Config::load_from(&Flags::default(), [(name, bytes())], &[]);
    assert!(load("OTHER").is_ok());
    assert!(load("QYVO_LOG_LEVEL").unwrap_err().message().contains("QYVO_LOG_LEVEL: the value is not UTF-8"));
}

#[test]
fn reads_variables_by_the_type_of_the_default() {
    let list = Value::Array(Vec::new());
    let words = Value::Array(vec!["STOP".into(), "END".into()]);
    assert_eq!(read_as(&list, " STOP, END ,").unwrap(), Some(words.clone()));
    assert_eq!(read_as(&words, "").unwrap(), Some(list));
    assert_eq!(write_instead("QYVO_WORDS", &words), " Write for example QYVO_WORDS=STOP,END");
    assert_eq!(read_as(&Value::Boolean(false), "true").unwrap(), Some(Value::Boolean(true)));
    assert!(read_as(&Value::Boolean(false), "yes").unwrap_err().contains("neither true nor false"));
    assert_eq!(read_as(&Value::Integer(1), " 42 ").unwrap(), Some(Value::Integer(42)));
    assert_eq!(read_as(&"text".into(), "42").unwrap(), Some("42".into()));
    assert_eq!(read_as(&"text".into(), " ").unwrap(), None);
}

#[test]
fn every_key_has_a_value_and_a_variable_of_its_own() {
    let defaults = Layers::new().unwrap().defaults;
    let mut variables: Vec<_> = keys(&defaults).iter().map(|(key, _)| variable(key)).collect();
    assert!(variables.contains(&"QYVO_SERVER_MAX_BODY".to_owned()));
    let all = variables.len();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), all);
}

#[test]
fn the_example_shows_every_key_with_its_default_and_a_sentence() {
    let text = include_str!("../../../qyvo.toml.example");
    let config = with_file(text, &[]).unwrap().config;
    assert_eq!(Config { origins: BTreeMap::new(), ..config }, Config::default());

    let (mut section, mut comment, mut shown) = (String::new(), String::new(), Vec::new());
    for line in text.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment = words.trim().to_owned();
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            comment.clear();
        } else if let Some((key, _)) = line.split_once('=') {
            let key = format!("{section}.{}", key.trim());
            assert!(comment.ends_with('.'), "{key} needs a sentence in a comment above it");
            comment.clear();
            shown.push(key);
        }
    }
    shown.sort();
    let mut expected: Vec<_> = keys(&Layers::new().unwrap().defaults).into_iter().map(|(key, _)| key).collect();
    expected.sort();
    assert_eq!(shown, expected);
}

#[test]
fn what_is_wrong_can_be_left_out_key_by_key() {
    let mut left_out = Vec::new();
    let env = [
        ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "many"),
        ("QYVO_SESSIONS_SWEEP_INTERVAL", "often"),
        ("QYVO_SESSIONS_DEFAULT_TTL", "45m"),
    ];
    let loaded = Config::load_with(&Flags::default(), env, &[], &mut |key, error| {
        left_out.push((key.to_owned(), error.to_string()));
        Ok(())
    })
    .unwrap();
    let keys: Vec<&str> = left_out.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["limits.requests_per_minute", "sessions.sweep_interval"]);
    assert!(left_out[1].1.contains("QYVO_SESSIONS_SWEEP_INTERVAL"), "{left_out:?}");
    assert_eq!(loaded.config.sessions.default_ttl, std::time::Duration::from_secs(45 * 60));
    assert_eq!(loaded.config.set_by("sessions.default_ttl", &[]).as_deref(), Some("QYVO_SESSIONS_DEFAULT_TTL"));
    assert_eq!(loaded.config.set_by("sessions.sweep_interval", &[]), None, "the default counts");
}
