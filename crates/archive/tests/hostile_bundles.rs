//! Hostile bundles in the classes of trust.md §2.2 (G4): each refused, nothing changed anywhere.
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_archive::{ArchiveFault, BundleRefused, ExtractError, NameFault, extract_bundle};

mod support;
use support::{CARRIERS, Carrier, MANIFEST, Tar, bundle, gz, header, pax_record, put, sealed};

/// What an archive must be refused for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    Name(NameFault),
    /// A name that a carrier cannot carry whole may fail in a second way.
    AnyName,
    Twin,
    FileAndFolder,
    NotPlain,
    Header,
    HeadersTooLong,
    TooManyMembers,
    TooLarge,
    Inflates,
    Trailing,
    Damaged,
    Manifest,
    NoManifest,
    NoConfiguration,
}

impl Expect {
    fn met_by(self, refusal: &BundleRefused) -> bool {
        use ArchiveFault as F;
        match refusal {
            BundleRefused::Archive(fault) => match fault {
                F::Name { fault, .. } => self == Expect::Name(*fault) || self == Expect::AnyName,
                F::Twin { .. } => self == Expect::Twin,
                F::FileAndFolder { .. } => self == Expect::FileAndFolder,
                F::NotPlain { .. } => self == Expect::NotPlain,
                F::Header(_) => self == Expect::Header,
                F::HeadersTooLong => self == Expect::HeadersTooLong,
                F::TooManyMembers { .. } => self == Expect::TooManyMembers,
                F::TooLarge { .. } => self == Expect::TooLarge,
                F::Inflates => self == Expect::Inflates,
                F::Trailing => self == Expect::Trailing,
                F::Damaged => self == Expect::Damaged,
            },
            BundleRefused::Manifest(_) => self == Expect::Manifest,
            BundleRefused::NoManifest => self == Expect::NoManifest,
            BundleRefused::NoConfiguration => self == Expect::NoConfiguration,
        }
    }
}

struct Hostile {
    class: &'static str,
    label: String,
    archive: Vec<u8>,
    expect: Expect,
}

#[derive(Default)]
struct Collection(Vec<Hostile>);

impl Collection {
    fn add(&mut self, class: &'static str, label: impl Into<String>, expect: Expect, tar: Tar) {
        self.add_packed(class, label, expect, tar.gz());
    }

    fn add_packed(
        &mut self,
        class: &'static str,
        label: impl Into<String>,
        expect: Expect,
        archive: Vec<u8>,
    ) {
        self.0.push(Hostile {
            class,
            label: label.into(),
            archive,
            expect,
        });
    }

    /// Adds a bad name as file and as folder, by every carrier, before and after good members.
    fn name(&mut self, class: &'static str, name: &[u8], expect: Expect) {
        for carrier in CARRIERS {
            if carrier == Carrier::Header && (name.len() > 100 || name.contains(&0)) {
                continue;
            }
            let label = format!("{carrier:?} {}", name.escape_ascii());
            let behind = bundle().carried(carrier, name, b'0', b"x");
            self.add(class, format!("file, {label}"), expect, behind);
            let folder = Tar::default().carried(carrier, name, b'5', b"");
            let front = Tar([folder.0, bundle().0].concat());
            self.add(class, format!("folder, {label}"), expect, front);
        }
    }

    fn names(&mut self, class: &'static str, names: &[&str], fault: NameFault) {
        for name in names {
            self.name(class, name.as_bytes(), Expect::Name(fault));
        }
    }

    /// Adds two members of which the second is one too many.
    fn pair(&mut self, class: &'static str, one: (&str, u8), two: (&str, u8), expect: Expect) {
        for carrier in CARRIERS {
            let tar = bundle()
                .carried(carrier, one.0.as_bytes(), one.1, b"")
                .carried(carrier, two.0.as_bytes(), two.1, b"");
            let label = format!("{carrier:?} {} then {}", one.0, two.0);
            self.add(class, label, expect, tar);
        }
    }
}

fn hostile_names(all: &mut Collection) {
    all.names(
        "parent segments",
        &[
            "../x",
            "..",
            "a/../x",
            "a/../../x",
            "a/b/..",
            "../../../../../../etc/cron.d/x",
            "..\\x",
            "a\\..\\x",
            "./x",
            ".",
            "a/./b",
            "a/..\\..\\x",
        ],
        NameFault::Climbs,
    );
    all.names(
        "absolute",
        &["/x", "/etc/passwd", "//x", "\\x", "///a/b"],
        NameFault::Absolute,
    );
    all.names(
        "drive letters",
        &["C:/x", "c:\\x", "C:x", "Z:/a/b", "C:"],
        NameFault::Absolute,
    );
    all.names(
        "UNC",
        &[
            "\\\\srv\\share\\x",
            "\\\\?\\C:\\x",
            "//srv/share/x",
            "\\\\.\\pipe\\x",
        ],
        NameFault::Absolute,
    );
    all.names(
        "alternate streams",
        &[
            "ab:stream",
            "dir:$DATA/x",
            "x/ab::$DATA",
            "kitchen.yaml:evil",
            "é:/x",
            "a/b:c",
        ],
        NameFault::Unstorable,
    );
    all.names(
        "reserved Windows names",
        &[
            "CON",
            "con.txt",
            "lib/PRN",
            "aux.h",
            "NUL",
            "nul.tar.gz",
            "COM1",
            "com9.c",
            "LPT1",
            "lpt5.x",
            "a/NUL/b",
            "COM¹",
            "con .txt",
            "a<b",
            "a>b",
            "a|b",
            "a?b",
            "a*b",
            "a\"b",
            "a\\b",
        ],
        NameFault::Unstorable,
    );
    all.names(
        "trailing dot or space",
        &[
            "x.", "x ", "a./b", "a /b", " x", "a/ b", "...", "x . ", "a/b...",
        ],
        NameFault::Unstorable,
    );
    all.names(
        "bidi and control",
        &[
            "a\u{202e}b",
            "\u{200f}x",
            "a\u{2066}b",
            "x\ty",
            "x\ny",
            "\u{1b}[31m",
            "x\u{7f}",
            "x\u{85}y",
            "\u{feff}x",
            "x\u{2028}y",
            "a/\u{202d}b",
            "x\u{61c}",
        ],
        NameFault::Invisible,
    );
    for raw in [
        &b"\xff"[..],
        b"a\xfe/b",
        b"\xc0\xaf",
        b"\xc0\xae\xc0\xae/x",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"x\xc3",
        b"x\xe2\x82",
    ] {
        all.name("invalid UTF-8", raw, Expect::Name(NameFault::NotText));
    }
    for raw in [&b"a\0b"[..], b"\0", b"a/b\0/c"] {
        // A NUL ends a GNU long name early in some readers; here it is text that is refused.
        let tar = bundle()
            .pax(&pax_record(b"path", raw))
            .raw(header(b"s", b'0', 0), b"");
        all.add(
            "invalid UTF-8",
            "NUL in pax path",
            Expect::Name(NameFault::NotText),
            tar,
        );
    }
    for length in [241, 255, 256, 300, 1024, 4096, 32_000] {
        for shape in ["x", "x/", "é"] {
            let name: String = shape.repeat(length).chars().take(length).collect();
            let name = name.trim_end_matches('/');
            if name.len() > 240 {
                all.name("overlong", name.as_bytes(), Expect::Name(NameFault::Length));
            }
        }
    }
    for depth in [17, 18, 40, 60, 100, 119] {
        let name = vec!["d"; depth].join("/");
        all.name("depth", name.as_bytes(), Expect::Name(NameFault::Depth));
    }
    for name in [&b""[..], b"/"] {
        all.name("absolute", name, Expect::AnyName);
    }
}

fn twins(all: &mut Collection) {
    for (one, two) in [
        ("README", "readme"),
        ("lib/A.h", "lib/a.h"),
        ("Lib/one", "lib/two"),
        ("a/b/C/d", "a/b/c/e"),
        ("straße", "STRASSE"),
        ("ΣΑΣ", "σας"),
        ("K", "\u{212a}"),
        ("KITCHEN.yaml", "other"),
        ("Manifest.json", "other"),
    ] {
        all.pair("case twins", (one, b'0'), (two, b'0'), Expect::Twin);
    }
    for (one, two) in [
        ("ü", "u\u{308}"),
        ("fonts/é.ttf", "fonts/e\u{301}.ttf"),
        ("Å", "A\u{30a}"),
        ("Å", "\u{212b}"),
        ("é/one", "e\u{301}/two"),
        ("한", "\u{1112}\u{1161}\u{11ab}"),
        ("ñ", "N\u{303}"),
    ] {
        all.pair("NFC/NFD twins", (one, b'0'), (two, b'0'), Expect::Twin);
    }
    for name in ["x", "lib/x.h", "a/b/c/d"] {
        all.pair("duplicates", (name, b'0'), (name, b'0'), Expect::Twin);
        all.pair("duplicates", (name, b'5'), (name, b'5'), Expect::Twin);
        all.pair(
            "duplicates",
            (name, b'0'),
            (name, b'5'),
            Expect::FileAndFolder,
        );
        all.pair(
            "duplicates",
            (name, b'5'),
            (name, b'0'),
            Expect::FileAndFolder,
        );
        let below = format!("{name}/below");
        all.pair(
            "duplicates",
            (name, b'0'),
            (&below, b'0'),
            Expect::FileAndFolder,
        );
        all.pair(
            "duplicates",
            (&below, b'0'),
            (name, b'0'),
            Expect::FileAndFolder,
        );
    }
    all.pair(
        "duplicates",
        ("kitchen.yaml", b'0'),
        ("z", b'0'),
        Expect::Twin,
    );
    all.pair(
        "duplicates",
        ("manifest.json", b'0'),
        ("z", b'0'),
        Expect::Twin,
    );
    all.pair(
        "duplicates",
        ("kitchen.yaml", b'5'),
        ("z", b'0'),
        Expect::FileAndFolder,
    );
}

fn links_and_devices(all: &mut Collection) {
    let targets: [&[u8]; 9] = [
        b"/etc/passwd",
        b"../../outside/canary",
        b"..",
        b".",
        b"kitchen.yaml",
        b"C:\\Windows",
        b"\\\\srv\\share",
        b"",
        b"/proc/self/cwd",
    ];
    for target in targets {
        let label = target.escape_ascii().to_string();
        for name in ["link", "a/b/link"] {
            let tar = bundle().link(name, b'2', target);
            all.add(
                "symlink out",
                format!("{name} -> {label}"),
                Expect::NotPlain,
                tar,
            );
            let tar = bundle().link(name, b'1', target);
            all.add(
                "hard link out",
                format!("{name} = {label}"),
                Expect::NotPlain,
                tar,
            );
        }
        let tar = bundle()
            .link("a", b'2', b"b")
            .link("b", b'2', b"c")
            .link("c", b'2', target);
        all.add("symlink chain", label.clone(), Expect::NotPlain, tar);
        let tar = bundle().link("dir", b'2', target).file("dir/x", b"through");
        all.add("symlink then file", label.clone(), Expect::NotPlain, tar);
        let tar = bundle().link("s", b'2', target).link("h", b'1', b"s");
        all.add("hard link to symlink", label.clone(), Expect::NotPlain, tar);
        let tar = Tar::default().link("kitchen.yaml", b'2', target);
        let tar = tar.file("manifest.json", MANIFEST.as_bytes());
        all.add(
            "symlink out",
            format!("configuration -> {label}"),
            Expect::NotPlain,
            tar,
        );
    }
    for kind in [
        b'3', b'4', b'6', b'7', b'V', b'M', b'D', b'N', b's', b'Z', 0xff,
    ] {
        for name in ["dev", "a/dev", "kitchen2.yaml", "manifest2.json"] {
            let tar = bundle().raw(header(name.as_bytes(), kind, 0), b"");
            let label = format!("kind {kind:#x} {name}");
            all.add("device, fifo, socket", label, Expect::NotPlain, tar);
        }
    }
    for mode in [0o4755, 0o2755, 0o6644, 0o1777, 0o7777, 0o4000] {
        for kind in [b'0', b'5'] {
            let mut block = header(b"tool", kind, 0);
            block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
            let tar = bundle().raw(sealed(block), b"");
            all.add("odd modes", format!("{mode:o} {kind}"), Expect::Header, tar);
        }
    }
    let mut block = header(b"tool", b'0', 0);
    block[100..108].copy_from_slice(b"zzzzzzz\0");
    all.add(
        "odd modes",
        "not octal",
        Expect::Header,
        bundle().raw(sealed(block), b""),
    );
}

fn desyncs(all: &mut Collection) {
    for (key, value) in [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.map", "0,10"),
        ("GNU.sparse.name", "../x"),
        ("GNU.sparse.realsize", "100"),
        ("GNU.sparse.size", "100"),
        ("GNU.sparse.numblocks", "1"),
        ("SUN.holesdata", "0 10"),
        ("SCHILY.realsize", "10"),
    ] {
        let tar = bundle()
            .pax(&pax_record(key.as_bytes(), value.as_bytes()))
            .file("x", b"y");
        all.add("sparse", key, Expect::Header, tar);
    }
    for extended in [0, 1] {
        let mut block = header(b"sparse", b'S', 512);
        block[257..265].copy_from_slice(b"ustar  \0");
        block[482] = extended;
        block[483..495].copy_from_slice(b"77777777777\0");
        let tar = bundle().raw(sealed(block), &[b'x'; 512]);
        all.add(
            "sparse",
            format!("GNU header, extended {extended}"),
            Expect::NotPlain,
            tar,
        );
    }
    for size in ["0", "1", "512", "1024", "1536", "99999999999", "-1", "x"] {
        for content in [0usize, 512, 1024] {
            let tar = bundle()
                .pax(&pax_record(b"size", size.as_bytes()))
                .raw(header(b"x", b'0', content as u64), &vec![0; content]);
            all.add(
                "pax size",
                format!("{size} over {content}"),
                Expect::Header,
                tar,
            );
        }
    }
    for key in [
        "linkpath",
        "hdrcharset",
        "SCHILY.xattr.x",
        "LIBARCHIVE.x",
        "unknown",
        "",
    ] {
        let tar = bundle()
            .pax(&pax_record(key.as_bytes(), b"v"))
            .file("x", b"y");
        all.add("pax size", format!("key {key:?}"), Expect::Header, tar);
    }
    for broken in [
        &b"5 a=b\n"[..],
        b"x",
        b"99 path=x\n",
        b"0 path=x\n",
        b" path=x\n",
        b"8 path=x",
        b"-1 path=x\n",
        b"18446744073709551616 path=x\n",
        b"6 path\n",
        b"\0\0\0\0",
    ] {
        let tar = bundle().pax(broken).file("x", b"y");
        all.add(
            "pax size",
            broken.escape_ascii().to_string(),
            Expect::Header,
            tar,
        );
    }
    let global = header(b"global", b'g', 16);
    let tar = bundle().raw(global, b"16 path=../../x\n").file("x", b"y");
    all.add("pax size", "global header", Expect::NotPlain, tar);

    let path = |name: &[u8]| pax_record(b"path", name);
    let two_names: [(&str, Tar); 5] = [
        (
            "long name after pax",
            bundle().pax(&path(b"a")).long_name(b"b"),
        ),
        (
            "pax after long name",
            bundle().long_name(b"b").pax(&path(b"a")),
        ),
        ("two long names", bundle().long_name(b"a").long_name(b"b")),
        (
            "two pax headers",
            bundle().pax(&path(b"a")).pax(&path(b"b")),
        ),
        (
            "two paths in one pax",
            bundle().pax(&[path(b"a"), path(b"b")].concat()),
        ),
    ];
    for (label, tar) in two_names {
        all.add(
            "long name after pax",
            label,
            Expect::Header,
            tar.clone().file("x", b""),
        );
        all.add(
            "long name after pax",
            format!("{label}, folder"),
            Expect::Header,
            tar.clone().raw(header(b"x", b'5', 0), b""),
        );
        all.add(
            "long name after pax",
            format!("{label}, nothing"),
            Expect::Header,
            tar,
        );
    }
    let tar = bundle().long_name(b"dangling");
    all.add(
        "long name after pax",
        "no member behind",
        Expect::Header,
        tar,
    );
    let tar = bundle()
        .raw(header(b"././@LongLink", b'K', 4), b"/etc")
        .file("x", b"");
    all.add("long name after pax", "long link", Expect::NotPlain, tar);

    for field in [
        &b"\x80\0\0\0\0\0\0\0\0\0\0\x01"[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"-0000000001\0",
        b"0x000000010\0",
        b"9\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut block = header(b"x", b'0', 0);
        block[124..136].copy_from_slice(field);
        let tar = bundle().raw(sealed(block), b"");
        all.add(
            "header bombs",
            format!("size {}", field.escape_ascii()),
            Expect::Header,
            tar,
        );
    }
}

fn bombs(all: &mut Collection) {
    for size in [65_025usize, 70_000, 1_000_000] {
        let tar = bundle().long_name(&vec![b'x'; size]).file("x", b"");
        all.add(
            "header bombs",
            format!("long name of {size}"),
            Expect::HeadersTooLong,
            tar,
        );
        let tar = bundle()
            .pax(&pax_record(b"comment", &vec![b'x'; size]))
            .file("x", b"");
        all.add(
            "header bombs",
            format!("pax of {size}"),
            Expect::HeadersTooLong,
            tar,
        );
    }
    let mut many = bundle();
    for _ in 0..200 {
        many = many.pax(&pax_record(b"mtime", b"0"));
    }
    all.add(
        "header bombs",
        "many headers, one member",
        Expect::HeadersTooLong,
        many.file("x", b""),
    );
    let mut many = bundle();
    for at in 0..80 {
        let filler = pax_record(b"comment", &[b'x'; 60_000]);
        many = many.pax(&filler).file(&format!("f{at}"), b"");
    }
    all.add(
        "header bombs",
        "4 MiB of headers",
        Expect::HeadersTooLong,
        many,
    );
    let mut huge = header(b"pax", b'x', 0);
    huge[124..136].copy_from_slice(b"77777777777\0");
    all.add(
        "header bombs",
        "pax of 8 GiB",
        Expect::HeadersTooLong,
        bundle().raw(sealed(huge), b""),
    );
    for at in [0usize, 1, 100, 148, 257, 300, 511] {
        let mut block = header(b"x", b'0', 0);
        block[at] ^= 0x40;
        let tar = bundle().raw(block, b"");
        all.add(
            "header bombs",
            format!("flipped bit in byte {at}"),
            Expect::Damaged,
            tar,
        );
    }
    let mut v7 = header(b"x", b'0', 0);
    v7[257..265].fill(0);
    all.add(
        "header bombs",
        "no magic",
        Expect::Damaged,
        bundle().raw(sealed(v7), b""),
    );

    // The preserved folders are counted, checked and not written: a flood without a disk.
    let deep = vec!["d"; 13].join("/");
    for (label, each) in [("files", 1usize), ("implied folders", 14)] {
        let mut flood = Vec::new();
        for at in 0..=(100_000 / each) {
            let name = if each == 1 {
                format!(".esphome/{at}")
            } else {
                format!(".esphome/{at}/{deep}")
            };
            flood.extend_from_slice(&header(name.as_bytes(), b'5', 0));
        }
        let tar = Tar([bundle().0, flood].concat());
        all.add("member floods", label, Expect::TooManyMembers, tar);
    }

    let zeros = vec![0; 40 * 1024 * 1024];
    all.add(
        "ratio bombs",
        "40 MiB of zeros",
        Expect::Inflates,
        bundle().file("z", &zeros),
    );
    let ignored = bundle().file(".esphome/z", &zeros);
    all.add(
        "ratio bombs",
        "zeros in an ignored member",
        Expect::Inflates,
        ignored,
    );
    let mut behind = bundle().end();
    behind.resize(behind.len() + 2 * 1024 * 1024, 0);
    all.add_packed(
        "ratio bombs",
        "2 MiB of padding",
        Expect::Trailing,
        gz(&behind),
    );
    for size in [524_288_001u64, 1 << 32, (1 << 33) - 1] {
        let tar = bundle().raw(header(b"z", b'0', size), b"");
        all.add(
            "ratio bombs",
            format!("declares {size}"),
            Expect::TooLarge,
            tar,
        );
    }
    let good = bundle().gz();
    let chain = [
        (
            "the same archive twice",
            [good.clone(), good.clone()].concat(),
        ),
        (
            "an empty gzip member behind",
            [good.clone(), gz(b"")].concat(),
        ),
        (
            "other files behind",
            [good.clone(), Tar::default().file("../x", b"").gz()].concat(),
        ),
        ("bytes behind", [good.clone(), b"x".to_vec()].concat()),
        ("zeros behind", [good.clone(), vec![0; 512]].concat()),
    ];
    for (label, bytes) in chain {
        all.add_packed("concatenated gzip", label, Expect::Trailing, bytes);
    }
    let mut split = gz(&bundle().0);
    split.extend(gz(&[0; 10240]));
    all.add_packed(
        "concatenated gzip",
        "split over two members",
        Expect::Damaged,
        split,
    );
    all.add_packed("concatenated gzip", "nested", Expect::Damaged, gz(&good));
    all.add_packed(
        "concatenated gzip",
        "nested thrice",
        Expect::Damaged,
        gz(&gz(&gz(&good))),
    );
    let mut two_tars = bundle().end();
    two_tars.extend(Tar::default().file("../x", b"").end());
    all.add_packed(
        "concatenated gzip",
        "second tar behind the end",
        Expect::Trailing,
        gz(&two_tars),
    );
    let mut hidden = bundle().0;
    hidden.extend([0; 512]);
    hidden.extend(Tar::default().file("x", b"").end());
    all.add_packed(
        "concatenated gzip",
        "member behind one zero block",
        Expect::Trailing,
        gz(&hidden),
    );
}

fn cut_and_broken(all: &mut Collection) {
    let good = bundle().file("big", &vec![7; 5000]).gz();
    for part in 0..20 {
        let cut = good[..good.len() * part / 20].to_vec();
        all.add_packed("damaged", format!("cut to {part}/20"), Expect::Damaged, cut);
    }
    for back in 1..=8 {
        let mut bad = good.clone();
        let at = bad.len() - back;
        bad[at] ^= 1;
        all.add_packed(
            "damaged",
            format!("trailer byte -{back}"),
            Expect::Damaged,
            bad,
        );
    }
    all.add_packed("damaged", "no end blocks", Expect::Damaged, gz(&bundle().0));
    all.add_packed("damaged", "plain tar", Expect::Damaged, bundle().end());
    all.add_packed(
        "damaged",
        "zip",
        Expect::Damaged,
        b"PK\x03\x04rest".to_vec(),
    );
    let tar = bundle().raw(header(b"x", b'0', 5000), b"short");
    all.add_packed("damaged", "content cut", Expect::Damaged, gz(&tar.0));
    let tar = bundle().raw(header(b"d", b'5', 512), &[0; 512]);
    all.add("damaged", "folder with content", Expect::Header, tar);
    let tar = bundle().raw(header(b"x/", b'0', 0), b"");
    all.add(
        "damaged",
        "file with a slash behind",
        Expect::Name(NameFault::Unstorable),
        tar,
    );
}

fn manifests(all: &mut Collection) {
    let yaml = || Tar::default().file("kitchen.yaml", b"esphome:\n");
    all.add("manifest", "none", Expect::NoManifest, yaml());
    all.add(
        "manifest",
        "only in a folder",
        Expect::NoManifest,
        yaml().file("a/manifest.json", MANIFEST.as_bytes()),
    );
    all.add(
        "manifest",
        "a folder",
        Expect::NoManifest,
        yaml().raw(header(b"manifest.json", b'5', 0), b""),
    );
    all.add(
        "manifest",
        "a link",
        Expect::NotPlain,
        yaml().link("manifest.json", b'2', b"kitchen.yaml"),
    );
    let padded = format!("{MANIFEST}{}", " ".repeat(1024 * 1024));
    all.add(
        "manifest",
        "over 1 MiB",
        Expect::Manifest,
        yaml().file("manifest.json", padded.as_bytes()),
    );
    let deep = "[".repeat(100_000);
    for json in [
        "",
        "null",
        "[]",
        "{}",
        "{",
        &deep,
        "\u{feff}{}",
        "{\"manifest_version\":1}",
        r#"{"manifest_version":0,"config_filename":"kitchen.yaml"}"#,
        r#"{"manifest_version":2,"config_filename":"kitchen.yaml"}"#,
        r#"{"manifest_version":"1","config_filename":"kitchen.yaml"}"#,
        r#"{"manifest_version":true,"config_filename":"kitchen.yaml"}"#,
        r#"{"manifest_version":1.5,"config_filename":"kitchen.yaml"}"#,
        r#"{"manifest_version":-1,"config_filename":"kitchen.yaml"}"#,
        r#"{"manifest_version":1,"manifest_version":1,"config_filename":"kitchen.yaml"}"#,
        r#"{"manifest_version":1,"config_filename":1}"#,
        r#"{"manifest_version":1,"config_filename":""}"#,
        r#"{"manifest_version":1,"config_filename":"other.yaml"}"#,
        r#"{"manifest_version":1,"config_filename":"../kitchen.yaml"}"#,
        r#"{"manifest_version":1,"config_filename":"/etc/kitchen.yaml"}"#,
        r#"{"manifest_version":1,"config_filename":"./kitchen.yaml"}"#,
        r#"{"manifest_version":1,"config_filename":"secrets.yaml"}"#,
        r#"{"manifest_version":1,"config_filename":"Kitchen.yaml"}"#,
    ] {
        let label: String = json.chars().take(60).collect();
        all.add(
            "manifest",
            label,
            Expect::Manifest,
            yaml().file("manifest.json", json.as_bytes()),
        );
    }
    let manifest = || Tar::default().file("manifest.json", MANIFEST.as_bytes());
    all.add(
        "manifest",
        "configuration missing",
        Expect::NoConfiguration,
        manifest(),
    );
    all.add(
        "manifest",
        "configuration in a folder",
        Expect::NoConfiguration,
        manifest().file("a/kitchen.yaml", b""),
    );
    all.add(
        "manifest",
        "configuration is a folder",
        Expect::NoConfiguration,
        manifest().raw(header(b"kitchen.yaml", b'5', 0), b""),
    );
    all.add(
        "manifest",
        "configuration of another case",
        Expect::NoConfiguration,
        manifest().file("KITCHEN.YAML", b""),
    );
}

fn collection() -> Vec<Hostile> {
    let mut all = Collection::default();
    hostile_names(&mut all);
    twins(&mut all);
    links_and_devices(&mut all);
    desyncs(&mut all);
    bombs(&mut all);
    cut_and_broken(&mut all);
    manifests(&mut all);
    all.0
}

// Covers: M68
// Covers: M69
// Covers: R-33
#[test]
fn five_hundred_hostile_bundles_are_refused_and_change_nothing() {
    let place = tempfile::tempdir().unwrap();
    put(place.path(), "outside/canary", b"untouched");
    put(place.path(), "x", b"untouched");
    put(
        place.path(),
        "peers/one/kitchen/kitchen.yaml",
        b"earlier tree",
    );
    put(place.path(), "peers/one/kitchen/.esphome/cache", b"warm");
    put(place.path(), "peers/one/x", b"untouched");
    put(place.path(), "peers/two/canary", b"another offloader's");
    let parent =
        Dir::open_ambient_dir(place.path().join("peers/one"), ambient_authority()).unwrap();
    let before = support::snapshot(place.path());

    let all = collection();
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut surprises = Vec::new();
    for hostile in &all {
        *classes.entry(hostile.class).or_default() += 1;
        let tarball = support::tarball(&hostile.archive);
        let announced = "kitchen.yaml".parse().unwrap();
        let result = extract_bundle(
            &tarball,
            &parent,
            "kitchen",
            &announced,
            &AtomicBool::new(false),
        );
        let as_expected =
            matches!(&result, Err(ExtractError::Refused(why)) if hostile.expect.met_by(why));
        if !as_expected {
            surprises.push(format!(
                "{} / {}: wanted {:?}, got {result:?}",
                hostile.class, hostile.label, hostile.expect
            ));
        }
        if let Err(error) = result {
            assert_is_one_sentence(&error.to_string());
        }
        assert_eq!(
            support::snapshot(place.path()),
            before,
            "{} / {}",
            hostile.class,
            hostile.label
        );
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    println!(
        "{} hostile bundles in {} classes: {classes:?}",
        all.len(),
        classes.len()
    );
    assert!(all.len() >= 500, "{}", all.len());
    assert!(classes.len() >= 26, "{}", classes.len());
}

fn assert_is_one_sentence(text: &str) {
    assert!(text.ends_with('.') && text.len() < 250, "{text}");
    assert!(
        !text.contains(char::is_control) && !text.contains('\u{202e}'),
        "{text:?}"
    );
}
