//! Bytes of the protocol: frames as ZooKeeper 3.8's own client and server exchanged them, every operation cut at every
//! byte and bent, and each request and reply that the two halves of the codec can make read by the other.

use tern::types::Rng;
use tern::zookeeper::codec::{
    AclEntry, Body, ConnectRequest, ConnectResponse, Create, DecodeError, MultiResult, Opcode, Reply, Request,
    SetWatches, split_frame,
};

use crate::client::{OPEN, framed, request};

/// Every operation with all its fields.
pub fn every_request() -> Vec<Request<'static>> {
    let create = |opcode, ttl_ms| {
        let acl = vec![OPEN, AclEntry { perms: 1, scheme: "digest", id: "u:h" }];
        Request::Create(opcode, Create { path: "/a/b", data: Some(b"data"), acl, flags: 5, ttl_ms })
    };
    let watches = |persistent: &[&'static str]| SetWatches {
        relative_zxid: 7,
        data: vec!["/a", "/b"],
        exist: vec!["/c"],
        child: vec![],
        persistent: persistent.to_vec(),
        recursive: persistent.to_vec(),
    };
    vec![
        create(Opcode::Create, None),
        create(Opcode::Create2, None),
        create(Opcode::CreateContainer, None),
        create(Opcode::CreateTtl, Some(1000)),
        Request::Delete { path: "/a", version: -1 },
        Request::Exists { path: "/a", watch: true },
        Request::GetData { path: "/a", watch: false },
        Request::SetData { path: "/a", data: None, version: 3 },
        Request::GetAcl { path: "/a" },
        Request::SetAcl { path: "/a", acl: vec![OPEN], version: 0 },
        Request::GetChildren { path: "/", watch: true },
        Request::GetChildren2 { path: "/", watch: true },
        Request::Sync { path: "/" },
        Request::Ping,
        Request::Check { path: "/a", version: 1 },
        Request::Multi(vec![
            create(Opcode::Create, None),
            Request::Check { path: "/", version: -1 },
            Request::SetData { path: "/a", data: Some(b""), version: 1 },
            Request::Delete { path: "/a", version: 2 },
        ]),
        Request::MultiRead(vec![
            Request::GetData { path: "/a", watch: false },
            Request::GetChildren { path: "/a", watch: false },
        ]),
        Request::Reconfig { joining: Some("server.1=a:1:2"), leaving: None, members: Some(""), config_id: -1 },
        Request::CheckWatches { path: "/a", kind: 1 },
        Request::RemoveWatches { path: "/a", kind: 3 },
        Request::Auth { scheme: "digest", credentials: b"u:p" },
        Request::SetWatches(Opcode::SetWatches, watches(&[])),
        Request::SetWatches(Opcode::SetWatches2, watches(&["/p"])),
        Request::Sasl { token: b"token" },
        Request::GetEphemerals { prefix: "/e" },
        Request::GetAllChildrenNumber { path: "/a" },
        Request::AddWatch { path: "/a", mode: 1 },
        Request::WhoAmI,
        Request::CloseSession,
    ]
}

/// What the reference client sent and the reference server answered, byte by byte.
#[test]
fn known_bytes() {
    let hello =
        [&[0, 0, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17, 0x70][..], &[0; 8], &[0, 0, 0, 16], &[0; 17]]
            .concat();
    let connect = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms: 6000,
        session_id: 0,
        password: vec![0; 16],
        read_only: Some(false),
    };
    assert_eq!(framed(|out| connect.encode(out)), hello);
    let create = Create { path: "/a", data: Some(b"x"), acl: vec![OPEN], flags: 1, ttl_ms: None };
    let expected = [
        &[0, 0, 0, 50, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2][..],
        b"/a\0\0\0\x01x\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\x01",
    ]
    .concat();
    assert_eq!(request(1, &Request::Create(Opcode::Create, create)), expected);
    let multi = Request::Multi(vec![Request::Check { path: "/a", version: 2 }]);
    let expected = [
        &[0, 0, 0, 36, 0, 0, 0, 9, 0, 0, 0, 14][..],
        &[0, 0, 0, 13, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, b'/', b'a', 0, 0, 0, 2],
        &[0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    assert_eq!(request(9, &multi), expected);
    let failed = [
        &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0][..],
        &[0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0x99, 0xff, 0xff, 0xff, 0x99],
        &[0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    let reply = Reply::decode(Opcode::Multi, &failed).unwrap();
    assert_eq!((reply.header.xid, reply.header.zxid, reply.is_failed_multi()), (9, 7, true));
    assert_eq!(reply.body, Body::Results(vec![MultiResult::Error(-103)]));
}

/// What one half writes the other reads; nothing shorter is the same request, and what lies behind it is not looked at.
#[test]
fn every_request_cut_everywhere() {
    for known in every_request() {
        let frame = request(5, &known);
        let body = &frame[12..];
        assert_eq!(Request::decode(known.opcode(), body).as_ref(), Ok(&known));
        for end in 0..body.len() {
            assert_eq!(Request::decode(known.opcode(), &body[..end]), Err(DecodeError::Malformed), "{known:?} {end}");
        }
        let longer = [body, b"junk"].concat();
        assert_eq!(Request::decode(known.opcode(), &longer).as_ref(), Ok(&known));
        for end in 0..frame.len() {
            assert_eq!(split_frame(&frame[..end], 1 << 20), Ok(None));
        }
    }
}

/// Whatever bytes come, decoding ends, and makes nothing that is larger than a small multiple of them.
#[test]
fn bent_bytes() {
    let mut rng = Rng::new(8);
    let requests = every_request();
    for _ in 0..40_000 {
        let known = &requests[rng.below(requests.len() as u64) as usize];
        let mut body = request(5, known)[12..].to_vec();
        for _ in 0..=rng.below(3) {
            match rng.below(3) {
                0 if !body.is_empty() => {
                    let at = rng.below(body.len() as u64) as usize;
                    body[at] ^= 1 << rng.below(8);
                }
                1 if body.len() >= 4 => {
                    let at = rng.below(body.len() as u64 - 3) as usize;
                    let value = [i32::MAX, -1, i32::MIN, 1 << 20][rng.below(4) as usize];
                    body[at..at + 4].copy_from_slice(&value.to_be_bytes());
                }
                _ => body.truncate(rng.below(body.len() as u64 + 1) as usize),
            }
        }
        let opcode =
            if rng.one_in(4) { requests[rng.below(requests.len() as u64) as usize].opcode() } else { known.opcode() };
        if let Ok(read) = Request::decode(opcode, &body) {
            let mut again = Vec::new();
            read.encode(&mut again);
            assert!(again.len() <= 2 * body.len() + 64);
        }
        let _ = Reply::decode(opcode, &body);
        let _ = (ConnectRequest::decode(&body), ConnectResponse::decode(&body));
    }
}
