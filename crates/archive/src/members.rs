//! [`Members`]: reads a received tar.gz member by member, strictly and in bounded memory.
//!
//! Only what Python's `tarfile` and GNU tar write for plain files and folders is understood: ustar
//! headers, pax `path` records and GNU long names. Everything that can make two readers disagree
//! (pax sizes, sparse maps, global headers, links, concatenated gzip) refuses the archive. Nothing
//! here touches the disk.
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::GzDecoder;
use tar::{EntryType, Header};

use crate::fault::ArchiveFault;
use crate::member_name::{MemberName, shown};
use crate::name_set::{Clash, NameSet};

const BLOCK: usize = 512;
/// Long-name and pax headers of one member, in bytes (trust.md §1.7).
const MAX_MEMBER_HEADERS: u64 = 64 * 1024;
/// Long-name and pax headers of the whole archive, in bytes (trust.md §1.7).
const MAX_EXTENSION_HEADERS: u64 = 4 * 1024 * 1024;
/// Zero blocks behind the end of the archive; tar pads to 10 KiB, some writers to more.
const MAX_PADDING: u64 = 1024 * 1024;
/// Bytes that may be produced before the ratio counts.
const RATIO_FREE: u64 = 16 * 1024 * 1024;

/// How much of an archive is read before it is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of the packed archive.
    pub(crate) packed: u64,
    /// Bytes of all files together, declared as well as produced.
    pub(crate) files: u64,
    /// Files and folders together, folders that paths imply included.
    pub(crate) members: usize,
    /// Most times its packed size that an archive may unpack to, once past [`RATIO_FREE`].
    pub(crate) ratio: u64,
}

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// The archive is at fault.
    Refused(ArchiveFault),
    /// The system is at fault: the file could not be read.
    Io(io::Error),
    /// The caller asked to stop.
    Cancelled,
}

impl From<ArchiveFault> for ReadFault {
    fn from(fault: ArchiveFault) -> Self {
        ReadFault::Refused(fault)
    }
}

/// One member; its content follows through [`Members::read`].
#[derive(Debug)]
pub(crate) struct Member {
    /// Checked, and unlike all names before it.
    pub(crate) name: MemberName,
    /// File or folder.
    pub(crate) kind: MemberKind,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberKind {
    /// A folder.
    Folder,
    /// A plain file of this many bytes.
    File(u64),
}

/// A received archive being read.
pub(crate) struct Members<'a, R: Read> {
    gzip: GzDecoder<BufReader<Counted<R>>>,
    limits: Limits,
    cancel: &'a AtomicBool,
    names: NameSet,
    /// Unread bytes of the current member and of the zeros that fill its last block.
    content_left: u64,
    padding_left: u64,
    produced: u64,
    declared: u64,
    extension_bytes: u64,
}

/// What long-name and pax headers say about the member that follows them.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    bytes: u64,
}

impl<'a, R: Read> Members<'a, R> {
    /// Starts reading at the beginning of a gzip stream.
    pub(crate) fn new(packed: R, limits: Limits, cancel: &'a AtomicBool) -> Self {
        let counted = Counted {
            inner: packed,
            bytes: 0,
            limit: limits.packed,
        };
        Self {
            gzip: GzDecoder::new(BufReader::with_capacity(64 * 1024, counted)),
            limits,
            cancel,
            names: NameSet::default(),
            content_left: 0,
            padding_left: 0,
            produced: 0,
            declared: 0,
            extension_bytes: 0,
        }
    }

    /// Returns how many files and folders the archive brought so far.
    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// Goes on to the next member, dropping what is unread of the current one. `None` after the
    /// last: then the whole archive was read, its checksum was right and nothing follows it.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ReadFault> {
        self.skip_rest()?;
        let mut extension = Extension::default();
        loop {
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block.iter().all(|&b| b == 0) {
                if extension.bytes > 0 {
                    return Err(ArchiveFault::Header("a long name without a member").into());
                }
                self.finish()?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            let size = checked_size(header)?;
            match header.entry_type() {
                EntryType::XHeader => self.read_pax(size, &mut extension)?,
                EntryType::GNULongName => self.read_long_name(size, &mut extension)?,
                other => return self.member(header, other, size, extension).map(Some),
            }
        }
    }

    /// Reads content of the current member; 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadFault> {
        let want = usize::try_from(self.content_left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(wanted) = buffer.get_mut(..want).filter(|w| !w.is_empty()) else {
            return Ok(0);
        };
        let got = self.inflate(wanted)?;
        if got == 0 {
            return Err(ArchiveFault::Damaged.into());
        }
        self.content_left -= got as u64;
        Ok(got)
    }

    /// Reads the whole content of the current member, at most `limit` bytes.
    pub(crate) fn read_whole(&mut self, limit: u64) -> Result<Vec<u8>, ReadFault> {
        if self.content_left > limit {
            return Err(ArchiveFault::TooLarge { limit }.into());
        }
        let mut content = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let got = self.read(&mut buffer)?;
            if got == 0 {
                return Ok(content);
            }
            content.extend_from_slice(buffer.get(..got).unwrap_or_default());
        }
    }

    /// Writes the whole content of the current member.
    pub(crate) fn copy_to<E: From<ReadFault> + From<io::Error>>(
        &mut self,
        to: &mut impl Write,
    ) -> Result<(), E> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let got = self.read(&mut buffer)?;
            if got == 0 {
                return Ok(());
            }
            to.write_all(buffer.get(..got).unwrap_or_default())?;
        }
    }

    fn member(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
        extension: Extension,
    ) -> Result<Member, ReadFault> {
        let mut raw = extension
            .name
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let folder = match kind {
            EntryType::Regular => false,
            EntryType::Directory => true,
            _ => return Err(ArchiveFault::NotPlain { name: shown(&raw) }.into()),
        };
        if header.mode().map_or(true, |mode| mode & 0o7000 != 0) {
            return Err(ArchiveFault::Header("special mode bits").into());
        }
        if folder && size != 0 {
            return Err(ArchiveFault::Header("a folder with content").into());
        }
        if folder && raw.last() == Some(&b'/') {
            raw.pop();
        }
        let name = MemberName::parse(&raw).map_err(|fault| ArchiveFault::Name {
            name: shown(&raw),
            fault,
        })?;
        let added = if folder {
            self.names.add_folder(&name)
        } else {
            self.names.add_file(&name)
        };
        let clashing = || shown(name.as_str().as_bytes());
        added.map_err(|clash| match clash {
            Clash::Twin => ArchiveFault::Twin { name: clashing() },
            Clash::FileAndFolder => ArchiveFault::FileAndFolder { name: clashing() },
        })?;
        let limit = self.limits.members;
        if self.names.len() > limit {
            return Err(ArchiveFault::TooManyMembers { limit }.into());
        }
        self.declared = self.declared.saturating_add(size);
        self.check_total(self.declared)?;
        self.enter_content(size);
        let kind = if folder {
            MemberKind::Folder
        } else {
            MemberKind::File(size)
        };
        Ok(Member { name, kind })
    }

    /// Reads a pax header. Only `path` counts; facts that Kiln never uses (times, owners) are
    /// skipped; everything else could change what the next member is, so it refuses the archive.
    fn read_pax(&mut self, size: u64, extension: &mut Extension) -> Result<(), ReadFault> {
        let content = self.read_extension(size, extension)?;
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            let (key, value, after) =
                pax_record(rest).ok_or(ArchiveFault::Header("a broken pax record"))?;
            match key {
                b"path" => set_name(extension, value.to_vec())?,
                b"mtime" | b"atime" | b"ctime" | b"uid" | b"gid" | b"uname" | b"gname"
                | b"comment" => {}
                _ => return Err(ArchiveFault::Header("an unusual pax record").into()),
            }
            rest = after;
        }
        Ok(())
    }

    fn read_long_name(&mut self, size: u64, extension: &mut Extension) -> Result<(), ReadFault> {
        let mut name = self.read_extension(size, extension)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(set_name(extension, name)?)
    }

    fn read_extension(
        &mut self,
        size: u64,
        extension: &mut Extension,
    ) -> Result<Vec<u8>, ReadFault> {
        let cost = size.saturating_add(BLOCK as u64);
        extension.bytes = extension.bytes.saturating_add(cost);
        self.extension_bytes = self.extension_bytes.saturating_add(cost);
        if extension.bytes > MAX_MEMBER_HEADERS || self.extension_bytes > MAX_EXTENSION_HEADERS {
            return Err(ArchiveFault::HeadersTooLong.into());
        }
        self.enter_content(size);
        let content = self.read_whole(MAX_MEMBER_HEADERS)?;
        self.skip_rest()?;
        Ok(content)
    }

    fn enter_content(&mut self, size: u64) {
        self.content_left = size;
        self.padding_left = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn skip_rest(&mut self) -> Result<(), ReadFault> {
        let mut scrap = [0; 16 * 1024];
        while self.read(&mut scrap)? > 0 {}
        let padding = usize::try_from(self.padding_left).unwrap_or(0);
        if let Some(padding) = scrap.get_mut(..padding) {
            self.fill(padding)?;
        }
        self.padding_left = 0;
        Ok(())
    }

    /// Reads to the end of the gzip stream (which verifies its checksum) and of the file.
    fn finish(&mut self) -> Result<(), ReadFault> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        let mut padding = 0;
        let mut buffer = [0; 16 * 1024];
        let mut zeros = block.iter().all(|&b| b == 0);
        loop {
            let got = self.inflate(&mut buffer)?;
            if got == 0 {
                break;
            }
            padding += got as u64;
            zeros &= buffer.iter().take(got).all(|&b| b == 0);
            if !zeros || padding > MAX_PADDING {
                break;
            }
        }
        let behind = self.gzip.get_mut().fill_buf().map_err(refusal_or_io)?;
        if zeros && padding <= MAX_PADDING && behind.is_empty() {
            Ok(())
        } else {
            Err(ArchiveFault::Trailing.into())
        }
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), ReadFault> {
        while !buffer.is_empty() {
            let got = self.inflate(buffer)?;
            if got == 0 {
                return Err(ArchiveFault::Damaged.into());
            }
            buffer = buffer.get_mut(got..).unwrap_or_default();
        }
        Ok(())
    }

    /// The only place that produces bytes: counts them and watches limits, ratio and cancellation.
    fn inflate(&mut self, buffer: &mut [u8]) -> Result<usize, ReadFault> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(ReadFault::Cancelled);
        }
        let got = self.gzip.read(buffer).map_err(refusal_or_io)?;
        self.produced = self.produced.saturating_add(got as u64);
        let packed = self.gzip.get_ref().get_ref().bytes;
        if self.produced > RATIO_FREE && self.produced > packed.saturating_mul(self.limits.ratio) {
            return Err(ArchiveFault::Inflates.into());
        }
        Ok(got)
    }

    fn check_total(&self, bytes: u64) -> Result<(), ArchiveFault> {
        let limit = self.limits.files;
        if bytes > limit {
            return Err(ArchiveFault::TooLarge { limit });
        }
        Ok(())
    }
}

/// Checks magic and checksum and returns the size, which must be plain octal.
fn checked_size(header: &Header) -> Result<u64, ArchiveFault> {
    if header.as_ustar().is_none() && header.as_gnu().is_none() {
        return Err(ArchiveFault::Damaged);
    }
    let sum: u32 = header.as_bytes().iter().map(|&b| u32::from(b)).sum();
    let own: u32 = header.as_old().cksum.iter().map(|&b| u32::from(b)).sum();
    // The sum counts its own eight bytes as spaces.
    if header.cksum().ok() != Some(sum - own + 8 * 32) {
        return Err(ArchiveFault::Damaged);
    }
    let field = header.as_old().size;
    if field.iter().any(|b| !matches!(b, b'0'..=b'7' | b' ' | 0)) {
        return Err(ArchiveFault::Header("a size that is not octal"));
    }
    header
        .entry_size()
        .map_err(|_| ArchiveFault::Header("a size that is not octal"))
}

/// Accepts one long name per member; two of them are read differently by different programs.
fn set_name(extension: &mut Extension, name: Vec<u8>) -> Result<(), ArchiveFault> {
    match extension.name.replace(name) {
        None => Ok(()),
        Some(_) => Err(ArchiveFault::Header("two long names for one member")),
    }
}

/// Splits `length key=value\n` off the front and returns key, value and what follows.
fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(8).position(|&b| b == b' ')?;
    let digits = bytes.get(..space)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let (last, body) = record.get(space + 1..)?.split_last()?;
    let equals = body.iter().position(|&b| b == b'=')?;
    (*last == b'\n').then_some((body.get(..equals)?, body.get(equals + 1..)?, after))
}

/// Sorts errors of the gzip layer: broken content blames the archive, the rest the system.
fn refusal_or_io(error: io::Error) -> ReadFault {
    if let Some(limit) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<PackedTooLarge>())
    {
        return ArchiveFault::TooLarge { limit: limit.0 }.into();
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            ArchiveFault::Damaged.into()
        }
        _ => ReadFault::Io(error),
    }
}

/// Counts packed bytes, for the ratio and the limit.
struct Counted<R> {
    inner: R,
    bytes: u64,
    limit: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("more than {0} packed bytes")]
struct PackedTooLarge(u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(got as u64);
        if self.bytes > self.limit {
            return Err(io::Error::other(PackedTooLarge(self.limit)));
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const LIMITS: Limits = Limits {
        packed: 1 << 20,
        files: 1000,
        members: 10,
        ratio: 200,
    };

    fn packed(files: &[(&str, usize)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
        for (name, size) in files {
            let mut header = Header::new_ustar();
            header.set_size(*size as u64);
            header.set_mode(0o644);
            let zeros = vec![0; *size];
            tar.append_data(&mut header, name, zeros.as_slice())
                .unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// Reads to the end and returns the names, or why not.
    fn read(archive: &[u8], limits: Limits) -> Result<Vec<String>, ArchiveFault> {
        let go = AtomicBool::new(false);
        let mut members = Members::new(archive, limits, &go);
        let mut names = Vec::new();
        loop {
            match members.next() {
                Ok(Some(member)) => names.push(member.name.as_str().to_owned()),
                Ok(None) => return Ok(names),
                Err(ReadFault::Refused(fault)) => return Err(fault),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn limits_are_reached_and_not_passed() {
        let archive = packed(&[("a", 600), ("b", 400)]);
        assert_eq!(read(&archive, LIMITS).unwrap(), ["a", "b"]);
        let one_more = packed(&[("a", 600), ("b", 401)]);
        let too_large = ArchiveFault::TooLarge { limit: 1000 };
        assert_eq!(read(&one_more, LIMITS), Err(too_large));

        let exactly = archive.len() as u64;
        let with = |packed| Limits { packed, ..LIMITS };
        assert!(read(&archive, with(exactly)).is_ok());
        let limit = exactly - 1;
        let too_large = ArchiveFault::TooLarge { limit };
        assert_eq!(read(&archive, with(limit)), Err(too_large));

        let nested = packed(&[("a/b/c/d/e/f/g/h/i", 1)]);
        assert!(read(&nested, LIMITS).is_ok());
        let nested = packed(&[("a/b/c/d/e/f/g/h/i/j", 1), ("k", 1)]);
        let too_many = ArchiveFault::TooManyMembers { limit: 10 };
        assert_eq!(read(&nested, LIMITS), Err(too_many));
    }

    #[test]
    fn shrinking_far_is_suspicious_only_past_sixteen_mebibytes() {
        let limits = Limits {
            files: 1 << 30,
            ..LIMITS
        };
        assert!(read(&packed(&[("a", 15 << 20)]), limits).is_ok());
        let bomb = packed(&[("a", 17 << 20)]);
        assert_eq!(read(&bomb, limits), Err(ArchiveFault::Inflates));
    }

    #[test]
    fn content_is_read_up_to_a_limit_that_is_checked_before() {
        let archive = packed(&[("a", 600)]);
        let go = AtomicBool::new(false);
        for (limit, fits) in [(600, true), (599, false)] {
            let mut members = Members::new(archive.as_slice(), LIMITS, &go);
            members.next().unwrap().unwrap();
            assert_eq!(members.read_whole(limit).is_ok(), fits);
        }
    }

    #[test]
    fn a_cancelled_reader_stops_in_the_middle() {
        let archive = packed(&[("a", 600), ("b", 1)]);
        let flag = AtomicBool::new(false);
        let mut members = Members::new(archive.as_slice(), LIMITS, &flag);
        members.next().unwrap().unwrap();
        flag.store(true, Ordering::Relaxed);
        assert!(matches!(members.next(), Err(ReadFault::Cancelled)));
    }

    #[test]
    fn a_failing_disk_is_not_the_senders_fault() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        let go = AtomicBool::new(false);
        let failed = Members::new(Failing, LIMITS, &go).next();
        assert!(matches!(failed, Err(ReadFault::Io(_))));
        let mut empty = GzEncoder::new(Vec::new(), Compression::fast());
        empty.write_all(&[0; 1024]).unwrap();
        assert_eq!(read(&empty.finish().unwrap(), LIMITS).unwrap().len(), 0);
    }
}
