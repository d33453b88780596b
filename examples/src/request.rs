//! A request, as this process sends it and as a reader types it.

use std::io;

use serde_json::Value;

use crate::connection::Connection;

/// Posts JSON to an `http://host:port/path`, and returns the status of the answer. Stands for a
/// client such as reqwest.
///
/// # Errors
///
/// If the URL is of another form, if there is no answer, and if it is not a success.
pub async fn post_json(url: &str, json: &Value) -> io::Result<u16> {
    let parts = url.strip_prefix("http://").and_then(|url| {
        let path = url.find('/')?;
        Some(url.split_at(path))
    });
    let Some((server, path)) = parts else {
        return Err(io::Error::other(format!("not an HTTP URL: {url}")));
    };
    match Request::post(path).json(json).send(server).await? {
        status @ 200..300 => Ok(status),
        status => Err(io::Error::other(format!("{url} answered {status}"))),
    }
}

/// A request to a server on this machine.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    content_type: Option<&'static str>,
    body: String,
}

impl Request {
    /// A GET request.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            content_type: None,
            body: String::new(),
        }
    }

    /// A POST request without a body.
    pub fn post(path: impl Into<String>) -> Self {
        Self {
            method: "POST",
            ..Self::get(path)
        }
    }

    /// The request with this JSON as its body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self {
            content_type: Some("application/json"),
            body: body.to_string(),
            ..self
        }
    }

    /// The request with the content of a file as its body.
    #[must_use]
    pub fn file(self, content: impl Into<String>) -> Self {
        Self {
            content_type: Some("application/octet-stream"),
            body: content.into(),
            ..self
        }
    }

    /// Sends the request over a connection of its own, and returns the status of the response.
    ///
    /// # Errors
    ///
    /// If there is no answer, or none that is HTTP/1.1.
    pub async fn send(&self, server: &str) -> io::Result<u16> {
        Connection::open(server).await?.send(self).await
    }

    /// The request as it goes over a connection.
    pub(crate) fn message(&self, server: &str) -> String {
        let Self {
            method, path, body, ..
        } = self;
        let content_type = match self.content_type {
            Some(content_type) => format!("content-type: {content_type}\r\n"),
            None => String::new(),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {server}\r\n{content_type}\
             content-length: {}\r\n\r\n{body}",
            body.len(),
        )
    }

    /// The same request, to be typed into a shell.
    #[must_use]
    pub fn curl(&self, server: &str) -> String {
        let Self {
            method, path, body, ..
        } = self;
        let url = format!("http://{server}{path}");
        match self.content_type {
            Some(content_type) => {
                let body = body.replace('\'', r"'\''");
                format!("curl -i {url} -H 'content-type: {content_type}' -d '{body}'")
            }
            None if *method == "GET" => format!("curl -i {url}"),
            None => format!("curl -i -X {method} {url}"),
        }
    }
}
