//! Encrypted connections to servers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{start_error, works};

/// As the programs of a server read it.
fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// A certificate for `localhost`, and its key.
fn certificate() -> (String, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = pem("PRIVATE KEY", &certified.signing_key.serialize_der());
    (pem("CERTIFICATE", certified.cert.der()), key)
}

/// P-DURABLE-61
#[cfg(feature = "postgres-tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_connections_work_and_certificates_are_verified() {
    use bg_runtime::durable::Postgres;
    use bg_runtime::sqlx::{self, Connection, PgConnection};
    use tests::durable::PostgresServer;

    let (own, key) = certificate();
    let files = [
        ("server.crt", &*own),
        ("server.key", &*key),
        (
            "pg_hba.conf",
            "hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n",
        ),
    ];
    let settings = ["ssl=on", "listen_addresses=localhost"];
    let Some(server) = PostgresServer::start_with(&settings, &files) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let root = write("root.crt", &own);
    let other = write("other.crt", &certificate().0);
    let url = |host: &str, rest: &str| {
        format!(
            "postgres://postgres@{host}:{}/postgres?{rest}",
            server.port()
        )
    };
    for (number, rest) in [
        "sslmode=require".to_owned(),
        "sslmode=prefer".to_owned(),
        format!("sslmode=verify-full&sslrootcert={root}"),
    ]
    .into_iter()
    .enumerate()
    {
        let url = url("localhost", &rest);
        works(Postgres::url(&url).schema(format!("encrypted_{number}"))).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let is_encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let is_encrypted: bool = sqlx::query_scalar(is_encrypted)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert!(is_encrypted);
    }
    for (host, rest, why) in [
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={other}"),
            "certificate",
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={root}"),
            "certificate",
        ),
        ("localhost", "sslmode=disable".to_owned(), "no encryption"),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={root}.none"),
            "No such file",
        ),
    ] {
        let error = start_error(Postgres::url(url(host, &rest))).await;
        assert!(error.contains("cannot be reached"), "{error}");
        assert!(error.contains(why), "{rest}: {error}");
    }
}

/// P-DURABLE-61
#[cfg(feature = "redis-tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_connections_to_redis_verify_the_certificate() {
    use bg_runtime::durable::Redis;
    use tests::durable::RedisServer;

    use super::build_error;

    let (own, key) = certificate();
    let files = [("server.crt", &*own), ("server.key", &*key)];
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let settings = format!(
        "--appendonly yes --tls-port {port} --tls-cert-file server.crt --tls-key-file server.key \
         --tls-ca-cert-file server.crt --tls-auth-clients no"
    );
    let settings: Vec<_> = settings.split(' ').collect();
    let Some(server) = RedisServer::start_beside(&settings, &files) else {
        return;
    };
    let url = |host: &str| format!("rediss://{host}:{port}");
    works(Redis::url(url("localhost")).root_certificate(&*own)).await;
    for (host, root) in [
        ("localhost", None),
        ("localhost", Some(certificate().0)),
        ("127.0.0.1", Some(own.clone())),
    ] {
        let store = Redis::url(url(host));
        let store = match root {
            None => store,
            Some(root) => store.root_certificate(root),
        };
        let error = start_error(store).await;
        assert!(error.contains("cannot be reached"), "{error}");
        assert!(error.contains("certificate"), "{host}: {error}");
    }
    // What expects no encryption, and what expects it.
    let error = start_error(Redis::url(format!("rediss://localhost:{}", server.port()))).await;
    assert!(error.contains("cannot be reached"), "{error}");
    let error = start_error(Redis::url(format!("redis://localhost:{port}"))).await;
    assert!(error.contains("an encrypted one"), "{error}");
    let error = build_error(Redis::url(url("localhost")).root_certificate("none"));
    assert!(error.contains("`root_certificate(..)`"), "{error}");
    let error = build_error(Redis::url("redis://localhost").root_certificate(own));
    assert!(
        error.contains("of no use without a `rediss://` address"),
        "{error}"
    );
}
