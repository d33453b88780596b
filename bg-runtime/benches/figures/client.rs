//! The client of the load, in a process of its own, so that the server's accounting does not hold it.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

/// Enough for the server to find several requests each time it asks, as a busy one does.
const CONNECTIONS: usize = 32;

/// Sends the requests, and returns when all are answered.
pub(crate) fn run_in_a_process(address: SocketAddr, path: &str, requests: usize) {
    let program = std::env::current_exe().expect("the path of this program");
    let status = Command::new(program)
        .args(["client", &address.to_string(), path, &requests.to_string()])
        .stdin(Stdio::null())
        .status()
        .expect("this program can be started");
    assert!(status.success(), "the client failed");
}

pub(crate) fn main(address: &str, path: &str, requests: &str) -> Result<(), Box<dyn Error>> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        connections.push(connection);
    }
    let mut response = vec![0; response_length(&mut connections[0], &request)?];
    for _ in 0..requests.parse::<usize>()? / CONNECTIONS {
        for connection in &mut connections {
            connection.write_all(request.as_bytes())?;
        }
        for connection in &mut connections {
            connection.read_exact(&mut response)?;
        }
    }
    if response.starts_with(b"HTTP/1.1 200 OK\r\n") {
        Ok(())
    } else {
        Err("the answer is not 200".into())
    }
}

/// All responses are equally long.
fn response_length(connection: &mut TcpStream, request: &str) -> std::io::Result<usize> {
    connection.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\nhello") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        response.push(byte[0]);
    }
    Ok(response.len())
}
