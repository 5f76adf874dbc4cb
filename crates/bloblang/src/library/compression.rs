//! Compressing and decompressing; what comes out is bounded by the budget of the run.

use std::io::{Read, Write};

use bzip2::read::MultiBzDecoder;
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::Value;
use crate::library::call::bytes;
use crate::library::{Call, Default, Param, Spec};
use crate::run::{Failure, Outcome, fail};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("compress", &[Param::text("algorithm"), Param::int("level").or(Default::Int(-1))], compress),
    Spec::method("decompress", &[Param::text("algorithm")], decompress),
];

fn compress(call: &mut Call, target: Value) -> Outcome {
    let data = bytes(&target)?;
    // The slowest of these algorithms reads some megabytes in a second.
    call.runner.spend(data.len())?;
    let level = match call.int(1)? {
        -1 => Compression::default(),
        level => Compression::new(u32::try_from(level).unwrap_or(0).min(9)),
    };
    let written = match call.text(0)? {
        "gzip" | "pgzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(data).and_then(|()| encoder.finish())
        }
        "zlib" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(data).and_then(|()| encoder.finish())
        }
        "flate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(data).and_then(|()| encoder.finish())
        }
        "lz4" => {
            let info = FrameInfo::new()
                .block_size(BlockSize::Max4MB)
                .block_mode(BlockMode::Independent)
                .content_checksum(true);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(data).and_then(|()| encoder.finish().map_err(std::io::Error::other))
        }
        "snappy" => snap::raw::Encoder::new().compress_vec(data).map_err(std::io::Error::other),
        "zstd" => Ok(compress_to_vec(data, CompressionLevel::Fastest)),
        _ => fail!("no such algorithm: there are flate, gzip, pgzip, lz4, snappy, zlib and zstd"),
    };
    written.map(Value::from).map_err(|_| Failure::new("the data could not be compressed"))
}

fn decompress(call: &mut Call, target: Value) -> Outcome {
    let data = bytes(&target)?;
    let algorithm = call.text(0)?.to_owned();
    let decoder: Box<dyn Read> = match algorithm.as_str() {
        "gzip" | "pgzip" => Box::new(MultiGzDecoder::new(data)),
        "zlib" => Box::new(ZlibDecoder::new(data)),
        "flate" => Box::new(DeflateDecoder::new(data)),
        "bzip2" => Box::new(MultiBzDecoder::new(data)),
        "lz4" => Box::new(FrameDecoder::new(data)),
        "zstd" => match StreamingDecoder::new(data) {
            Ok(decoder) => Box::new(decoder),
            Err(_) => fail!("the data is not compressed by {algorithm}"),
        },
        "snappy" => return snappy(call, data),
        _ => fail!("no such algorithm: there are bzip2, flate, gzip, pgzip, lz4, snappy, zlib and zstd"),
    };
    let mut out = Vec::new();
    let limit = call.runner.bytes_left();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut out);
    if out.len() > limit {
        call.runner.reserve(out.len())?;
    }
    read.map_err(|_| Failure::new(format!("the data is not compressed by {algorithm}")))?;
    Ok(Value::from(out))
}

fn snappy(call: &mut Call, data: &[u8]) -> Outcome {
    let invalid = || Failure::new("the data is not compressed by snappy");
    let length = snap::raw::decompress_len(data).map_err(|_| invalid())?;
    if length > call.runner.bytes_left() {
        call.runner.reserve(length)?;
    }
    snap::raw::Decoder::new().decompress_vec(data).map(Value::from).map_err(|_| invalid())
}
