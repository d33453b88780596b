//! A link to a server that can fail in the ways in which networks do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a link does with the bytes that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It passes them on.
    None,
    /// It resets every connection, and each new one.
    Reset,
    /// It keeps connections open, and passes nothing on.
    Silence,
    /// It passes each part on after this time.
    Delay(Duration),
    /// It resets a connection after so many bytes.
    CutAfter(usize),
    /// It resets a connection instead of passing on a part with these bytes, such as an answer.
    CutAt(&'static [u8]),
    /// It keeps a connection open, and passes nothing on from a part with these bytes on, whatever follows.
    DieAt(&'static [u8]),
    /// It passes on the part with these bytes, and nothing that comes after it, such as the answer.
    DieAfter(&'static [u8]),
}

/// A link, on a port of its own. It ends with this.
#[derive(Debug)]
pub struct FaultyLink {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    /// Whether the connections are dead that were made since the last of them was.
    abandoned: watch::Sender<Arc<AtomicBool>>,
    /// How many connections have died by themselves.
    died: watch::Sender<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl FaultyLink {
    /// Makes a link to the server on this port of the loopback.
    ///
    /// # Panics
    ///
    /// Panics if there is no port for it.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let fault = watch::Sender::new(Fault::None);
        let faults = fault.clone();
        let abandoned = watch::Sender::new(Arc::new(AtomicBool::new(false)));
        let current = abandoned.subscribe();
        let died = watch::Sender::new(0);
        let count = died.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let death = Death {
                    of_many: current.borrow().clone(),
                    of_one: AtomicBool::new(false),
                    count: count.clone(),
                };
                tokio::spawn(connect(client, port, faults.subscribe(), death));
            }
        });
        Self {
            address,
            fault,
            abandoned,
            died,
            task,
        }
    }

    /// Has the connections that there are pass nothing on any more, without a word, as when a server's machine is lost
    /// and another one takes over its address. New ones work.
    pub fn abandon(&self) {
        let next = Arc::new(AtomicBool::new(false));
        let dead = self.abandoned.send_replace(next);
        dead.store(true, Ordering::Relaxed);
    }

    /// Waits until a connection has died at what it was to pass on.
    ///
    /// # Panics
    ///
    /// Never: the count lives as long as the link.
    pub async fn died(&self) {
        let mut died = self.died.subscribe();
        died.wait_for(|died| *died > 0).await.expect("the link");
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets what it does from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultyLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether a connection is dead.
struct Death {
    of_many: Arc<AtomicBool>,
    of_one: AtomicBool,
    count: watch::Sender<usize>,
}

impl Death {
    fn is_there(&self) -> bool {
        self.of_many.load(Ordering::Relaxed) || self.of_one.load(Ordering::Relaxed)
    }

    fn comes(&self) {
        self.of_one.store(true, Ordering::Relaxed);
        self.count.send_modify(|died| *died += 1);
    }
}

async fn connect(client: TcpStream, port: u16, faults: watch::Receiver<Fault>, death: Death) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    // Dropped without a word to the other side, as what is in between does.
    let _ = (client.set_zero_linger(), server.set_zero_linger());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let count = Arc::default();
    tokio::select! {
        () = pass(from_client, to_server, faults.clone(), Arc::clone(&count), &death) => {}
        () = pass(from_server, to_client, faults, count, &death) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Fault>,
    passed: Arc<AtomicUsize>,
    death: &Death,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut counted_from = None;
    loop {
        let fault = *faults.borrow_and_update();
        if fault == Fault::Reset {
            return;
        }
        let read = tokio::select! {
            biased;
            changed = faults.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        if read == 0 {
            return;
        }
        let mut part = &buffer[..read];
        if let Fault::DieAt(bytes) = fault
            && part.windows(bytes.len()).any(|found| found == bytes)
        {
            death.comes();
        }
        if death.is_there() {
            continue;
        }
        match fault {
            Fault::None | Fault::Reset | Fault::DieAt(_) => {}
            Fault::DieAfter(bytes) => {
                if part.windows(bytes.len()).any(|found| found == bytes) {
                    death.comes();
                }
            }
            Fault::Silence => {
                // What was read is lost with the connection, unless the link recovers.
                while *faults.borrow_and_update() == Fault::Silence {
                    if faults.changed().await.is_err() {
                        return;
                    }
                }
            }
            Fault::Delay(wait) => tokio::time::sleep(wait).await,
            Fault::CutAt(bytes) => {
                if part.windows(bytes.len()).any(|found| found == bytes) {
                    return;
                }
            }
            Fault::CutAfter(bytes) => {
                let before = passed.fetch_add(read, Ordering::Relaxed);
                let begin = *counted_from.get_or_insert(before);
                let left = bytes.saturating_sub(before - begin);
                if left < read {
                    part = &buffer[..left];
                    let _ = to.write_all(part).await;
                    return;
                }
            }
        }
        if to.write_all(part).await.is_err() {
            return;
        }
    }
}
