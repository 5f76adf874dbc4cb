//! Stores that could carry a journal, as their documents say to write durably: fjall, redb, SQLite with a write-ahead log.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{CALLERS, Figures, RECORD_BYTES, WINDOW};

/// Commits `count` records from `first` on, and returns when they are on disk.
type Commit = Box<dyn FnMut(u64, usize) -> anyhow::Result<()>>;

pub(super) fn all(base: &Path, length: Duration) -> anyhow::Result<Vec<(&'static str, Figures)>> {
    Ok(vec![
        ("fjall", figures(base, length, fjall)?),
        ("redb", figures(base, length, redb)?),
        ("sqlite", figures(base, length, sqlite)?),
    ])
}

fn figures(
    base: &Path,
    length: Duration,
    open: fn(&Path) -> anyhow::Result<Commit>,
) -> anyhow::Result<Figures> {
    let rate = |count: usize| -> anyhow::Result<f64> {
        let directory = tempfile::tempdir_in(base)?;
        let mut commit = open(directory.path())?;
        let began = Instant::now();
        let mut records = 0;
        while began.elapsed() < length {
            commit(records, count)?;
            records += count as u64;
        }
        Ok(records as f64 / began.elapsed().as_secs_f64())
    };
    Ok(Figures { one: rate(1)?, callers: rate(CALLERS)?, window: rate(WINDOW)? })
}

fn fjall(directory: &Path) -> anyhow::Result<Commit> {
    let database = fjall::Database::builder(directory).open()?;
    let keyspace = database.keyspace("records", fjall::KeyspaceCreateOptions::default)?;
    Ok(Box::new(move |first, count| {
        let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncData));
        for n in first..first + count as u64 {
            batch.insert(&keyspace, n.to_be_bytes(), [7; RECORD_BYTES]);
        }
        Ok(batch.commit()?)
    }))
}

fn redb(directory: &Path) -> anyhow::Result<Commit> {
    const RECORDS: redb::TableDefinition<u64, &[u8]> = redb::TableDefinition::new("records");
    let database = redb::Database::create(directory.join("redb"))?;
    Ok(Box::new(move |first, count| {
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for n in first..first + count as u64 {
                table.insert(n, &[7; RECORD_BYTES][..])?;
            }
        }
        Ok(transaction.commit()?)
    }))
}

fn sqlite(directory: &Path) -> anyhow::Result<Commit> {
    let mut connection = rusqlite::Connection::open(directory.join("sqlite"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute("create table records (n integer primary key, body blob not null)", ())?;
    Ok(Box::new(move |first, count| {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("insert into records values (?1, ?2)")?;
            for n in first..first + count as u64 {
                insert.execute((n as i64, &[7_u8; RECORD_BYTES][..]))?;
            }
        }
        Ok(transaction.commit()?)
    }))
}
