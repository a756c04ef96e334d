//! An array of an `.npz` archive, read whole: it is compressed as a rule.

use std::io::{Cursor, Read, Seek};
use std::path::Path;

use lrp::Error;
use lrp_core::file;
use lrp_core::text::shown;
use lrp_core::{Scalar, Tensor};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use zip::ZipArchive;

use super::kind::Kind;
use super::npy::{Header, fits_memory};
use super::unreadable;

/// Names of more arrays are not listed.
const LISTED: usize = 8;

/// Reads an array of an archive, whatever its number type: the one of this name, or the only one.
pub fn read<T: Scalar>(path: &Path, bytes: &[u8], name: Option<&str>) -> Result<Tensor<T>, Error> {
    let mut archive = open(path, Cursor::new(bytes))?;
    let name = array_name(path, &archive, name)?;
    array(&mut archive, &name).map_err(|why| unreadable(path, why))
}

/// The shape of that array, from its header alone.
pub fn shape(path: &Path, name: Option<&str>) -> Result<Vec<usize>, Error> {
    let file = file::open(path).map_err(|e| unreadable(path, e))?;
    let mut archive = open(path, file)?;
    let name = array_name(path, &archive, name)?;
    shape_of(path, &mut archive, &name)
}

/// The names and shapes of all arrays of an archive, from their headers alone.
pub fn shapes(path: &Path) -> Result<Vec<(String, Vec<usize>)>, Error> {
    let file = file::open(path).map_err(|e| unreadable(path, e))?;
    let mut archive = open(path, file)?;
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let shape = |member: String| {
        let shape = shape_of(path, &mut archive, &member)?;
        Ok((called(&member).to_owned(), shape))
    };
    names.into_iter().map(shape).collect()
}

/// The shape in the header of a member.
fn shape_of<R: Read + Seek>(path: &Path, archive: &mut ZipArchive<R>, member: &str) -> Result<Vec<usize>, Error> {
    let header = archive.by_name(member).map_err(|e| e.to_string()).and_then(|mut entry| Header::read(&mut entry));
    header.map(|header| header.shape).map_err(|why| unreadable(path, why))
}

/// The name of the array in a member.
fn called(member: &str) -> &str {
    member.strip_suffix(".npy").unwrap_or(member)
}

fn open<R: Read + Seek>(path: &Path, from: R) -> Result<ZipArchive<R>, Error> {
    ZipArchive::new(from).map_err(|e| unreadable(path, format!("it is no complete .npz archive ({e})")))
}

/// Reads an array. Both its header and the archive say how much it holds, and neither is believed before memory is set aside.
fn array<T: Scalar>(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Tensor<T>, String> {
    let mut entry = archive.by_name(name).map_err(|e| e.to_string())?;
    let unpacked = entry.size();
    let header = Header::read(&mut entry)?;
    let kind = Kind::<T>::described(&header.descr).ok_or_else(|| Kind::<T>::unsupported(&header.descr))?;
    let promised = header.promised(kind.size);
    if promised > u128::from(unpacked) {
        return Err(format!(
            "it is truncated: its header announces {promised} bytes of numbers, and all of the array has {unpacked}"
        ));
    }
    fits_memory(promised)?;
    let mut bytes = Vec::new();
    // The unpacked data can be larger than the archive states.
    let most = u64::try_from(promised).unwrap_or(u64::MAX).saturating_add(1);
    entry.take(most).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    match bytes.len() as u128 {
        there if there < promised => {
            return Err(format!(
                "it is truncated: its header announces {promised} bytes of numbers, and {there} are there"
            ));
        }
        there if there > promised => return Err("bytes follow the numbers that its header announces".to_owned()),
        _ => {}
    }
    let numbers = header.shape.iter().product();
    let numbers = (kind.read)(&mut bytes.as_slice(), &header.descr, numbers).map_err(|e| e.to_string())?;
    drop(bytes);
    let array =
        ArrayD::from_shape_vec(IxDyn(&header.shape).set_f(header.fortran), numbers).map_err(|e| e.to_string())?;
    Ok(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
}

/// The array to read: the one of this name; or the only one, or one called `x`, `input` or `arr_0`. Returns the name of its member.
fn array_name<R: Read + Seek>(path: &Path, archive: &ZipArchive<R>, name: Option<&str>) -> Result<String, Error> {
    let members: Vec<&str> = archive.file_names().collect();
    let listed = || {
        let names: Vec<String> = members.iter().take(LISTED).map(|m| shown(called(m)).into_owned()).collect();
        let more = members.len().saturating_sub(LISTED);
        names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    if let Some(name) = name {
        return members.iter().find(|member| called(member) == name).map(|member| (*member).to_owned()).ok_or_else(
            || {
                let message =
                    format!("'{}' has no array '{}'; its arrays are {}", path.display(), shown(name), listed());
                Error::user(message, "name the arrays like the model's inputs: numpy.savez(file, **{name: x})")
            },
        );
    }
    match members.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Error::user(format!("'{}' holds no array", path.display()), "write it with numpy.savez(file, x=…)")),
        _ => {
            let wanted = ["x", "input", "arr_0"];
            let found = wanted.iter().find_map(|name| members.iter().find(|member| called(member) == *name));
            found.map(|member| (*member).to_owned()).ok_or_else(|| {
                Error::user(
                    format!("'{}' holds several arrays: {}", path.display(), listed()),
                    "call the one to explain 'x', or save it alone",
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn npy(shape: &str, numbers: usize) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; 4 * numbers]);
        bytes
    }

    fn zipped(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn refused(bytes: &[u8]) -> String {
        read::<f32>("a.npz".as_ref(), bytes, None).unwrap_err().to_string()
    }

    #[test]
    fn a_header_is_not_believed() {
        assert_eq!(
            read::<f32>("a.npz".as_ref(), &zipped(&[("x.npy", npy("(2, 3)", 6))]), None).unwrap().shape(),
            [2, 3]
        );
        for (shape, numbers, why) in [
            ("(100000000000, 3)", 3, "truncated"),
            ("(18446744073709551615, 18446744073709551615)", 3, "truncated"),
            ("(2,)", 3, "bytes follow"),
            ("(-1,)", 3, "cannot be understood"),
        ] {
            let error = refused(&zipped(&[("x.npy", npy(shape, numbers))]));
            assert!(error.contains(why), "{shape}: {error}");
        }
    }

    #[test]
    fn arrays_are_found_by_name() {
        let both = zipped(&[("left.npy", npy("(2,)", 2)), ("right.npy", npy("(3,)", 3))]);
        let shape = |name: Option<&str>| read::<f32>("a.npz".as_ref(), &both, name).map(|x| x.shape().to_vec());
        assert_eq!(shape(Some("right")).unwrap(), [3]);
        assert!(
            shape(Some("middle")).unwrap_err().to_string().contains("no array 'middle'; its arrays are left, right")
        );
        assert!(shape(None).unwrap_err().to_string().contains("several arrays"));
    }

    #[test]
    fn an_archive_that_unpacks_to_more_than_it_says_is_refused() {
        // The central directory is at the end: readers use the size there.
        let mut bytes = zipped(&[("x.npy", npy("(1000,)", 1000))]);
        let size = u32::try_from(npy("(1000,)", 1000).len()).unwrap().to_le_bytes();
        let places: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, w)| **w == size).map(|(i, _)| i).collect();
        for claimed in [u32::MAX - 1, 10] {
            for &place in &places {
                bytes[place..place + 4].copy_from_slice(&claimed.to_le_bytes());
            }
            let _ = read::<f32>("a.npz".as_ref(), &bytes, None);
        }
        assert!(refused(&bytes).contains("truncated"));
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = zipped(&[("x.npy", npy("(5, 4)", 20))]);
        for cut in 0..whole.len() {
            assert!(read::<f32>("a.npz".as_ref(), &whole[..cut], None).is_err(), "{cut} of {}", whole.len());
        }
    }

    #[test]
    fn names_cannot_fill_the_screen() {
        let members: Vec<_> =
            (0..100).map(|i| (format!("\u{1b}[2J{i}{}.npy", "a".repeat(1000)), npy("(1,)", 1))).collect();
        let members: Vec<_> = members.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        let error = refused(&zipped(&members));
        assert!(error.contains("and 92 more") && error.len() < 3000 && !error.contains('\u{1b}'), "{error}");
    }
}
