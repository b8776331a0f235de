//! Tests of the way out: what is let through, and what never is.
use super::*;

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

fn everywhere(_: IpAddr) -> bool {
    true
}

/// A server behind the proxy that answers every connection with what it was sent, in upper case.
async fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut block = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut block).await {
                    let said = block[..count].to_ascii_uppercase();
                    stream.write_all(&said).await.unwrap();
                }
            });
        }
    });
    port
}

/// Rules as of a box, whose hosts are what a test says; ports of tests are not 443.
fn rules(password: &str, max_bytes: u64, reachable: Reachable) -> (Rules, mpsc::Receiver<Contact>) {
    let (contacts, heard) = mpsc::channel(CONTACTS);
    let rules = Rules {
        hosts: BuildHosts::from_setting("*.example.net").unwrap(),
        max_bytes,
        password: password.to_owned(),
        reachable,
        passed: Arc::default(),
        contacts,
    };
    (rules, heard)
}

async fn ask(rules: &Rules, request: &str) -> String {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    near.write_all(request.as_bytes()).await.unwrap();
    near.shutdown().await.unwrap();
    rules.serve(far).await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_not_on_the_list_is_refused_whatever_it_is_called() {
    let (rules, mut heard) = rules("", u64::MAX, everywhere);
    for target in [
        "evil.example.org:443",
        "127.0.0.1:443",
        "[::1]:443",
        "localhost:443",
        "192.168.1.1:80",
        "a.example.net:22",
        "example.net:443",
        "a.example.net.evil.org:443",
    ] {
        let answer = ask(&rules, &format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
        let contact = heard.recv().await.unwrap();
        assert_eq!(contact.answer, Answer::NotAllowed, "{target}");
    }
    for odd in [
        "CONNECT a.example.net HTTP/1.1\r\n\r\n",
        "CONNECT a@b.example.net:443 HTTP/1.1\r\n\r\n",
        "GET /index HTTP/1.1\r\nHost: a.example.net\r\n\r\n",
        "GET ftp://a.example.net/ HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET",
    ] {
        assert!(ask(&rules, odd).await.starts_with("HTTP/1.1 400"), "{odd}");
    }
}

#[tokio::test]
async fn who_does_not_know_the_password_gets_nothing() {
    let (rules, mut heard) = rules("secret", u64::MAX, everywhere);
    let request = |with: &str| format!("CONNECT other.example.org:443 HTTP/1.1\r\n{with}\r\n");
    let wrong = format!("Proxy-Authorization: Basic {}\r\n", base64(b"kiln:guess"));
    let right = format!("Proxy-Authorization: Basic {}\r\n", base64(b"kiln:secret"));
    for without in ["", wrong.as_str()] {
        assert!(
            ask(&rules, &request(without))
                .await
                .starts_with("HTTP/1.1 407")
        );
        assert!(heard.try_recv().is_err(), "nothing was looked at");
    }
    assert!(
        ask(&rules, &request(&right))
            .await
            .starts_with("HTTP/1.1 403")
    );
}

#[tokio::test]
async fn a_request_goes_on_to_the_host_that_was_checked_and_not_to_another() {
    let (rules, _heard) = rules("", u64::MAX, everywhere);
    let head =
        b"GET http://a.example.net/x?y HTTP/1.1\r\nHost: evil.org\r\nProxy-Authorization: x\r\n\
        Accept: */*\r\nConnection: keep-alive\r\n\r\n";
    let wanted = rules.understand(head).ok().unwrap();
    assert_eq!((wanted.host.as_str(), wanted.port), ("a.example.net", 80));
    assert_eq!(
        String::from_utf8(wanted.onwards.unwrap()).unwrap(),
        "GET /x?y HTTP/1.1\r\nAccept: */*\r\nHost: a.example.net\r\nConnection: close\r\n\r\n"
    );
}

async fn tunnel(rules: &Rules, said: &[u8]) -> Vec<u8> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, echo().await))
        .await
        .unwrap();
    let (mut near, inside) = tokio::io::duplex(1024 * 1024);
    let wanted = Wanted {
        host: "a.example.net".to_owned(),
        port: 443,
        onwards: None,
    };
    near.write_all(said).await.unwrap();
    near.shutdown().await.unwrap();
    let _ = rules.connect(inside, far, wanted, b"first ".to_vec()).await;
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_tunnel_carries_both_directions_until_the_share_is_used_up() {
    let (open, _heard) = rules("", u64::MAX, everywhere);
    let answer = tunnel(&open, b"hello").await;
    assert!(answer.ends_with(b"FIRST HELLO"), "{answer:?}");
    assert_eq!(open.passed.load(Ordering::Relaxed), 16);
    let (tight, _heard) = rules("", 100_000, everywhere);
    let answer = tunnel(&tight, &[b'a'; 500_000]).await;
    assert!(answer.len() < 200_000, "{} bytes came back", answer.len());
    let refused = ask(&tight, "CONNECT a.example.net:443 HTTP/1.1\r\n\r\n").await;
    assert!(refused.contains("too much"), "{refused}");
}
