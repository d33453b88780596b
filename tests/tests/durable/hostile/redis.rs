//! Servers of Redis that cannot be worked with, or only just.

use std::time::{Duration, Instant};

use ::redis::{Cmd, cmd};
use bg_runtime::FailureKind;
use bg_runtime::durable::{EnqueueError, Redis, StartError, StoredState};
use tests::durable::redis_client::ask;
use tests::durable::{DatabaseServer as _, Place, RedisCluster, RedisServer};
use tests::tasks::Failures;
use tests::{Timeline, eventually, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{background, start_error, works};
use crate::tasks::{Hold, KEY, Lab, Note};

/// A command in words.
fn words(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut command = cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command
}

async fn run(server: &RedisServer, command: &str) {
    let () = ask(&server.url(), &words(command)).await.unwrap();
}

/// The URL with a user and password.
fn as_user(server: &RedisServer, user: &str) -> String {
    format!("redis://{user}@127.0.0.1:{}", server.port())
}

/// P-DURABLE-56
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_redis_is_told_of_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = |listener: &TcpListener| format!("redis://{}", listener.local_addr().unwrap());
    let (web, silent_url) = (url(&listener), url(&silent));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.read(&mut [0; 64]).await;
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let begun = Instant::now();
    for url in [
        &web,
        &silent_url,
        "redis://127.0.0.1:1",
        "redis://nowhere.invalid",
    ] {
        let error = start_error(Redis::url(url)).await;
        assert!(error.contains("cannot be reached"), "{url}: {error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{begun:?}");
}

/// P-DURABLE-56
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_only_reads_is_told_of_at_the_start() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let port = server.port().to_string();
    let replica = ["--appendonly", "yes", "--replicaof", "127.0.0.1", &port];
    let replica = RedisServer::start_with(&replica).unwrap();
    let error = start_error(Redis::url(replica.url())).await;
    assert!(error.contains("it is a replica"), "{error}");
    assert!(error.contains("give the address of the primary"), "{error}");
    // One that has become a replica since, and is the primary again.
    let background = background(Redis::url(server.url()));
    background.start().await.unwrap();
    run(&server, "REPLICAOF 127.0.0.1 1").await;
    let refused = background.enqueue(Note::new("refused")).await.unwrap_err();
    assert!(refused.to_string().contains("it is a replica"), "{refused}");
    run(&server, "REPLICAOF NO ONE").await;
    let stored = async {
        loop {
            // It is asked again after a moment.
            if let Ok(id) = background.enqueue(Note::new("stored")).await {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let id = within("it is stored", stored).await;
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    within("the shutdown", background.shutdown()).await;
}

/// P-DURABLE-56
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lets_nobody_in_says_why_without_a_password() {
    let settings = [
        "--appendonly",
        "yes",
        "--user",
        "guest",
        "on",
        ">s3cret",
        "~*",
        "&*",
        "+@all",
    ];
    let settings = [&settings[..], &["--requirepass", "s3cret"]].concat();
    let Some(server) = RedisServer::start_with(&settings) else {
        return;
    };
    for (user, why) in [
        ("guest:wr0ng", "Password authentication failed"),
        ("nobody:wr0ng", "Password authentication failed"),
        (":wr0ng", "Password authentication failed"),
    ] {
        let store = Redis::url(as_user(&server, user));
        assert!(!format!("{store:?}").contains("wr0ng"), "{store:?}");
        let error = within("the start", background(store).start())
            .await
            .unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(why), "{shown}");
        assert!(
            shown.contains("give the right user and password"),
            "{shown}"
        );
        assert!(!shown.contains("wr0ng"), "{shown}");
    }
    let error = start_error(Redis::url(server.url())).await;
    assert!(error.contains("Authentication required"), "{error}");
    assert!(
        error.contains("give the right user and password"),
        "{error}"
    );
    for user in ["guest:s3cret", ":s3cret"] {
        works(Redis::url(as_user(&server, user))).await;
    }
}

/// P-DURABLE-57
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_rights_is_told_which_and_what_to_do() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let store = || Redis::url(as_user(&server, "ada:s3cret")).prefix("shop");
    for rights in [
        "-@all",
        "~shop* &shop:* +@all -info",
        "~shop* &shop:* +@all -@scripting",
        "~other:* &shop:* +@all",
        "~shop* &other:* +@all",
        "~shop* &shop:* +@all -publish",
        "~shop* &shop:* +@read +@connection +@scripting +info +publish",
    ] {
        run(
            &server,
            &format!("ACL SETUSER ada reset on >s3cret {rights}"),
        )
        .await;
        let error = start_error(store()).await;
        assert!(error.contains("ACL SETUSER"), "{rights}: {error}");
        assert!(error.contains("~bg* &bg:*"), "{rights}: {error}");
    }
    // What it is told to do is enough.
    run(
        &server,
        "ACL SETUSER ada reset on >s3cret ~shop* &shop:* +@all -@admin",
    )
    .await;
    works(store()).await;
}

/// P-DURABLE-53
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_full_refuses_tasks_until_there_is_room() {
    let Some(server) = RedisServer::start_with(&["--appendonly", "yes", "--maxmemory", "8mb"])
    else {
        return;
    };
    let background = background(Redis::url(server.url()));
    background.start().await.unwrap();
    background.queue("default").pause().await.unwrap();
    let text = "x".repeat(100_000);
    let mut stored = Vec::new();
    let refused = loop {
        match background.enqueue(Note::new(text.clone())).await {
            Ok(id) => stored.push(id),
            Err(refused) => break refused,
        }
    };
    assert!(
        matches!(refused, EnqueueError::NotStored { .. }),
        "{refused:?}"
    );
    let refused = refused.to_string();
    assert!(refused.contains("OOM"), "{refused}");
    assert!(
        refused.contains("it is full: give it more memory"),
        "{refused}"
    );
    assert!(stored.len() > 10, "{}", stored.len());
    // A worker that cannot claim goes on when it can.
    run(&server, "CONFIG SET maxmemory 0").await;
    background.queue("default").resume().await.unwrap();
    run(&server, "CONFIG SET maxmemory 1mb").await;
    let last = background.stored().get(*stored.last().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(2), last.outcome()).await;
    assert!(ended.is_err(), "{ended:?}");
    run(&server, "CONFIG SET maxmemory 0").await;
    stored.push(background.enqueue(Note::new("again")).await.unwrap());
    for id in &stored {
        let task = background.stored().get(*id);
        within("the end", task.outcome()).await.unwrap();
    }
    within("the shutdown", background.shutdown()).await;
}

/// P-DURABLE-58
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_a_free_connection_is_told_of_and_comes_back() {
    let Some(server) = RedisServer::start_with(&["--appendonly", "yes", "--maxclients", "20"])
    else {
        return;
    };
    let background = background(Redis::url(server.url()).enqueue_only());
    background.start().await.unwrap();
    let take = async || {
        let mut taken = Vec::new();
        loop {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
                .await
                .unwrap();
            stream.write_all(b"PING\r\n").await.unwrap();
            let mut answer = [0; 5];
            match stream.read_exact(&mut answer).await {
                Ok(_) if &answer == b"+PONG" => taken.push(stream),
                _ => return taken,
            }
        }
    };
    let mut taken = take().await;
    let error = start_error(Redis::url(server.url())).await;
    assert!(error.contains("`maxclients`"), "{error}");
    // Those of the store are lost, and taken by others.
    taken[0]
        .write_all(b"CLIENT KILL TYPE normal SKIPME yes\r\n")
        .await
        .unwrap();
    taken[0].read_exact(&mut [0; 3]).await.unwrap();
    taken.truncate(1);
    taken.extend(take().await);
    // The first one has lost its connection, and may have been heard.
    let _ = background.enqueue(Note::new("refused")).await.unwrap_err();
    let refused = background.enqueue(Note::new("refused")).await.unwrap_err();
    assert!(
        matches!(refused, EnqueueError::NotStored { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("`maxclients`"), "{refused}");
    drop(taken);
    let begun = Instant::now();
    while let Err(error) = background.enqueue(Note::new("stored")).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
    }
    let waiting = background.stored().counts().await.unwrap();
    assert_eq!(waiting, [(StoredState::Waiting, 1)]);
}

/// P-DURABLE-51
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_somebody_else_under_the_prefix_are_told_of() {
    let Some(server) = RedisServer::shared() else {
        return;
    };
    let place = server.place("theirs");
    let () = place.lua("call('SET', P .. '#rows', 'theirs')").await;
    let started = within("the start", background(place.store()).start()).await;
    let error = started.unwrap_err();
    assert!(
        matches!(error, StartError::IncompatibleSchema { .. }),
        "{error:?}"
    );
    let error = error.to_string();
    assert!(
        error.contains("something else has keys with this prefix"),
        "{error}"
    );
    assert!(error.contains("`prefix(..)`"), "{error}");
    let is_left: String = place.lua("return call('GET', P .. '#rows')").await;
    assert_eq!(is_left, "theirs");
    let place = server.place("theirs_too");
    let () = place
        .lua("call('SET', P .. 'default:wait', 'theirs')")
        .await;
    let background = background(place.store().enqueue_only());
    let refused = background
        .enqueue(Note::new("refused"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("something else has keys with this prefix"),
        "{refused}"
    );
    let () = place.lua("call('DEL', P .. 'default:wait')").await;
    background.enqueue(Note::new("stored")).await.unwrap();
    assert_eq!(
        background.stored().counts().await.unwrap(),
        [(StoredState::Waiting, 1)]
    );
}

/// P-DURABLE-59
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_prefixes_and_other_databases_of_a_redis_work() {
    let Some(server) = RedisServer::shared() else {
        return;
    };
    for prefix in ["two words", "{braces}", "Schéma*[a-z]?", "%41", "#"] {
        works(Redis::url(server.url()).prefix(prefix)).await;
    }
    works(Redis::url(format!("{}/3", server.url())).prefix("third")).await;
    let mut of_it = words("EXISTS third:#rows");
    let found: u64 = ask(&format!("{}/3", server.url()), &of_it).await.unwrap();
    assert_eq!(found, 1);
    let found: u64 = ask(&server.url(), of_it.arg("third:#row")).await.unwrap();
    assert_eq!(found, 0);
}

/// P-DURABLE-91
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_forget_tasks_is_warned_of_at_the_start() {
    tests::logs::keep();
    for (settings, warnings) in [
        (&["--appendonly", "yes"][..], &[][..]),
        (&["--appendonly", "no"], &["set `appendonly yes`"]),
        (
            &["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"],
            &["set `maxmemory-policy noeviction` instead of allkeys-lru"],
        ),
        (
            &["--appendonly", "no", "--maxmemory-policy", "volatile-ttl"],
            &["set `appendonly yes`", "instead of volatile-ttl"],
        ),
    ] {
        let Some(server) = RedisServer::start_with(settings) else {
            return;
        };
        works(Redis::url(server.url())).await;
        let lines = tests::logs::lines_with(&format!("127.0.0.1:{}", server.port()));
        assert_eq!(lines.len(), warnings.len(), "{lines:?}");
        for (line, warning) in lines.iter().zip(warnings) {
            assert!(line.contains("WARN") && line.contains(warning), "{line}");
        }
    }
}

/// P-DURABLE-92
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_a_cluster_is_refused_and_the_cluster_works() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let urls = cluster.urls();
    let error = start_error(Redis::url(&urls[0])).await;
    assert!(error.contains("use `Redis::cluster([..])`"), "{error}");
    // Whichever of the nodes has the keys, and whichever are named.
    for prefix in ["bg", "first", "second", "third", "{braces}"] {
        works(Redis::cluster(&urls[1..]).prefix(prefix)).await;
    }
    let lab = Lab::new();
    let [creator, worker] = [(); 2].map(|()| {
        let store = Redis::cluster(&urls[..1])
            .prefix("shared")
            .lease(Duration::from_secs(2));
        let store = store.secret_keys([bg_runtime::durable::SecretKey::new(KEY)]);
        let builder = bg_runtime::Background::builder().state(lab.clone());
        builder.durable(store).build().unwrap()
    });
    worker.start().await.unwrap();
    let (first, second) = tokio::join!(
        creator.enqueue(Hold::new("first")),
        creator.enqueue(Hold::new("second"))
    );
    lab.timeline.reached("first 1").await;
    lab.timeline.reached("second 1").await;
    creator
        .stored()
        .get(second.unwrap())
        .cancel()
        .await
        .unwrap();
    lab.timeline.reached("second cancelled").await;
    lab.gate.add_permits(1);
    let first = creator.stored().get(first.unwrap());
    within("the end", first.outcome()).await.unwrap();
    let mut counts = creator.stored().counts().await.unwrap();
    counts.sort();
    assert_eq!(
        counts.iter().map(|(_, tasks)| tasks).sum::<u64>(),
        2,
        "{counts:?}"
    );
    within("the shutdown", worker.shutdown()).await;
}

/// P-DURABLE-55
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_other_clients_that_nobody_understands_harm_no_other() {
    let Some(place) = Place::redis() else {
        return;
    };
    let store = "local function add(id, name, data)
            call('HSET', P .. 'default:' .. id, 'name', name, 'data', data, 'opts', '{}', 'timestamp', 1)
            call('LPUSH', P .. 'default:wait', id)
        end
        add('1', 'tests.note', '[]')
        add('2', 'tests.note', '7')
        add('3', 'tests.note', '{\"text\": null}')
        add('4', 'tests.gone', '{\"text\": \"of nobody\"}')
        add('5', 'tests.note', '{\"words\": \"older\"}')
        add('6', 'tests.note', 'no json')
        add('7', 'tests.note', '{\"#bg\": 7, \"text\": null}')
        add('8', 'tests.note', '')
        call('LPUSH', P .. 'default:wait', '9')
        call('HSET', P .. 'default:10', 'theirs', 1)
        call('LPUSH', P .. 'default:wait', '10')
        call('ZADD', P .. 'default:marker', 0, '0')";
    let () = place.lua(store).await;
    let (lab, failures) = (Lab::new(), Failures::default());
    let keys = [bg_runtime::durable::SecretKey::new(KEY)];
    let builder = bg_runtime::Background::builder().state(lab.clone());
    let builder = builder.on_error(failures.hook(&Timeline::new()));
    let builder = builder.durable(place.store().secret_keys(keys));
    let background = builder.build().unwrap();
    background.start().await.unwrap();
    eventually("a report of each", || {
        let reported = failures.all();
        let unread =
            |failure: &&bg_runtime::TaskFailure| failure.kind() == FailureKind::Undecodable;
        reported.iter().filter(unread).count() == 7
    })
    .await;
    let id = background.enqueue(Note::new("good")).await.unwrap();
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    within("the shutdown", background.shutdown()).await;
    assert_eq!(lab.timeline.names(), ["good"]);
    // They are all there, but for those that were none.
    let kept = "local kept = {}
        for id = 1, 10 do kept[id] = call('EXISTS', P .. 'default:' .. id) end
        return kept";
    let kept: Vec<u64> = place.lua(kept).await;
    assert_eq!(kept, [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
}
