//! What a command shows of a fleet: once, or again whenever it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{IsTerminal, stderr, stdout},
    time::Duration,
};

use comfy_table::{LineStyle, Table, TableStyle};
use serde_json::{Value as Json, json};

use crate::{
    live::Live,
    mixer::{Client, Follower, News, is_final},
    stdout, terminal,
};

/// One line below the head.
const TABLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
/// What happens within this is looked at together.
const TOGETHER: Duration = Duration::from_millis(200);
/// How soon a look is tried again that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Something that can be looked at again and again.
pub(crate) trait Scene {
    /// Whether an event may change it.
    fn is_changed_by(what: &str) -> bool;

    /// How it is now.
    async fn look(&self, client: &Client) -> anyhow::Result<Picture>;
}

/// How it is at one moment.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// What is said of all of it: a cell is a line.
    pub(crate) head: Option<Row>,
    /// What stands over the rows; nothing is drawn of none.
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Row>,
}

/// A thing in it. It is another when what is shown of it is.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) cells: Vec<String>,
    /// The same for scripts.
    pub(crate) json: Json,
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.head.iter().flat_map(|head| &head.cells) {
            writeln!(f, "{line}")?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "{}", table(self.columns, self.rows.iter().map(|row| row.cells.clone())))
    }
}

/// A table for people.
pub(crate) fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(TABLE).set_header(columns);
    for row in rows {
        table.add_row(row);
    }
    table
}

/// Shows how it is, and then again whenever it changes: on a terminal drawn anew, else a line for each thing that is new,
/// another, or gone.
///
/// # Errors
/// When the Mixer refuses to tell, and when nothing can be written.
pub(crate) async fn watch<S: Scene>(client: &Client, scene: &S, is_json: bool) -> anyhow::Result<()> {
    let clock = client.world.clock;
    let mut follower = Follower::begin(client).await?;
    let is_drawn = !is_json && stdout().is_terminal() && stderr().is_terminal();
    let mut screen =
        Screen { live: is_drawn.then(Live::new), is_json, known: BTreeMap::new(), is_away: false };
    loop {
        match scene.look(client).await {
            Ok(picture) => screen.show(&picture)?,
            Err(why) if is_final(&why) => return Err(why),
            Err(why) => {
                screen.say_away(&why);
                clock.sleep(AGAIN).await;
                continue;
            }
        }
        loop {
            match follower.news(S::is_changed_by).await? {
                News::Look => break,
                News::Away(why) => screen.say_away(&why),
            }
        }
        clock.sleep(TOGETHER).await;
    }
}

/// Where it is shown.
struct Screen {
    /// A terminal on which it is drawn anew.
    live: Option<Live>,
    is_json: bool,
    /// What was shown last of each thing.
    known: BTreeMap<String, Vec<String>>,
    /// Whether it was said that the Mixer is away.
    is_away: bool,
}

impl Screen {
    fn show(&mut self, picture: &Picture) -> anyhow::Result<()> {
        let was_away = std::mem::take(&mut self.is_away);
        if let Some(live) = &mut self.live {
            live.draw(&picture.to_string());
            return Ok(());
        }
        if was_away {
            terminal::say("the Mixer is back\n");
        }
        for row in picture.head.iter().chain(&picture.rows) {
            if self.known.get(&row.name) != Some(&row.cells) {
                self.known.insert(row.name.clone(), row.cells.clone());
                match self.is_json {
                    true => stdout::line(&row.json)?,
                    false => stdout::line(row.cells.join("  "))?,
                }
            }
        }
        let there: BTreeSet<&String> =
            picture.head.iter().chain(&picture.rows).map(|row| &row.name).collect();
        let gone: Vec<String> = self.known.keys().filter(|name| !there.contains(name)).cloned().collect();
        for name in gone {
            self.known.remove(&name);
            match self.is_json {
                true => stdout::line(json!({ "removed": name }))?,
                false => stdout::line(format_args!("{name}  removed"))?,
            }
        }
        Ok(())
    }

    /// Says once that nothing new is known.
    fn say_away(&mut self, why: &anyhow::Error) {
        if std::mem::replace(&mut self.is_away, true) {
            return;
        }
        let told = format!("the Mixer is away, and asked again: {why:#}\n");
        match &mut self.live {
            Some(live) => live.add(&told),
            None => terminal::say(&told),
        }
    }
}
