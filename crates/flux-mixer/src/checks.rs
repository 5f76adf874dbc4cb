//! Whether a text is a scenario or a spec that can be kept: everything that is wrong with it, at once.

use std::collections::{BTreeMap, BTreeSet};

use flux_bus::Name;
use flux_identity::{Flaw, Tag};
use flux_iso8583::Spec;
use flux_scenario::report::Report;
use flux_scenario::{Catalog, Code, Issue, Loaded, Scenario, Severity, Span, load};

use crate::part;

/// What a text says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) name: Name,
    pub(crate) tag: Tag,
    pub(crate) title: String,
    /// What is probably not meant.
    pub(crate) warnings: Vec<Flaw>,
}

/// A Rack and the kinds of gears that it says it has; none where it says nothing.
pub(crate) struct Offer {
    pub(crate) rack: Name,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) kinds: BTreeSet<String>,
}

/// What scenarios are called in reports: they are YAML.
pub(crate) const SCENARIO: &str = "scenario.yaml";
const SPEC: &str = "spec.yaml";

/// Checks a scenario against the kinds that are known, and those that the Racks it is for offer.
pub(crate) fn scenario(
    text: &[u8],
    catalog: &Catalog,
    offers: &[Offer],
) -> Result<(Checked, Scenario), Vec<Flaw>> {
    let loaded = load(SCENARIO, text);
    let mut report = loaded.check(catalog);
    let wrong = not_offered(&loaded.scenario, offers).into_iter().chain(between_groups(&loaded.scenario));
    wrong.for_each(|issue| report.push(issue));
    let named = named(&loaded, &mut report);
    let flaws = flaws_of(&report);
    match named {
        Some((name, tag)) if flaws.iter().all(|flaw| flaw.severity != Severity::Error.word()) => {
            let title = loaded.scenario.meta.description.clone().unwrap_or_default();
            Ok((Checked { name, tag, title: short(&title), warnings: flaws }, loaded.scenario))
        }
        Some(_) | None => Err(flaws),
    }
}

/// What may be shown of a scenario to whoever may not know its secrets.
pub(crate) fn shown(text: &[u8], catalog: &Catalog) -> String {
    load(SCENARIO, text).check(catalog).shown_text().into_owned()
}

/// Checks a spec with those that it builds on, which `base` finds.
pub(crate) fn spec(
    text: &[u8],
    base: &dyn Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Checked, Vec<Flaw>> {
    let spec = Spec::load(SPEC, text, &|name| base(name)).map_err(|report| spec_flaws(&report))?;
    let wrong = |why: String| {
        let help = Some("change `id`, which is its name, or `version`, which is its tag".to_owned());
        vec![Flaw {
            code: "FR0806".into(),
            severity: "error".into(),
            file: SPEC.into(),
            line: 1,
            column: 1,
            message: why,
            help,
        }]
    };
    let name = Name::new(spec.id.as_str()).map_err(|why| wrong(why.to_string()))?;
    let tag = spec.version.as_str().parse().map_err(wrong)?;
    Ok(Checked { name, tag, title: short(spec.name.as_str()), warnings: spec_flaws(&spec.warnings) })
}

/// The names of specs that a spec builds on, as [`spec`] asks for them.
pub(crate) fn bases_of(text: &[u8], known: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    let asked = parking_lot::Mutex::new(BTreeSet::new());
    let _ = Spec::load(SPEC, text, &|name| {
        asked.lock().insert(name.to_owned());
        known.get(name).cloned().ok_or_else(|| "it is not read yet".to_owned())
    });
    asked.into_inner()
}

/// The name and the tag are those of the text, so that both are the same wherever it is.
fn named(loaded: &Loaded, report: &mut Report) -> Option<(Name, Tag)> {
    let meta = &loaded.scenario.meta;
    let mut note = |span: Span, why: String, help: &str| {
        // Where the form is wrong already, this says nothing new.
        if !loaded.report.has_errors() {
            report.push(Issue::new(Code::BadValue, span, why).help(help));
        }
    };
    let name = Name::new(&meta.name.value);
    if let Err(why) = &name {
        note(meta.name.span, why.to_string(), "shorten `meta.name`");
    }
    let version = meta.version.clone().unwrap_or_default();
    let tag = version.value.parse::<Tag>();
    if let Err(why) = &tag {
        note(version.span, why.clone(), "a release has a version: `meta.version`");
    }
    name.ok().zip(tag.ok())
}

/// Wires from each of many Racks to each of many others.
fn between_groups(scenario: &Scenario) -> impl Iterator<Item = Issue> {
    let is_group = |place: &str| scenario.racks.iter().any(|rack| rack.is_group && rack.name.value == place);
    let crossing = |route| part::crossed(scenario, route).map(|ends| (route, ends));
    scenario
        .wires
        .iter()
        .filter_map(crossing)
        .filter(move |(_, (from, to))| is_group(from) && is_group(to))
        .map(|(route, (from, to))| {
            let message = format!("a wire leads from the group `{from}` to the group `{to}`");
            Issue::new(Code::NoMesh, route.span, message).help("lead it by a gear on one rack")
        })
}

/// Gears for Racks that do not have their kind.
fn not_offered(scenario: &Scenario, offers: &[Offer]) -> Vec<Issue> {
    let mut lacking: BTreeMap<(usize, &str), (Span, Vec<&str>)> = BTreeMap::new();
    for Offer { rack, labels, kinds } in offers.iter().filter(|offer| !offer.kinds.is_empty()) {
        for gear in part::gears(scenario, rack, labels) {
            if !kinds.contains(&gear.kind.value) {
                let place = (gear.kind.span.start, gear.kind.value.as_str());
                lacking.entry(place).or_insert_with(|| (gear.kind.span, Vec::new())).1.push(rack.as_str());
            }
        }
    }
    let issue = |((_, kind), (span, racks)): ((usize, &str), (Span, Vec<&str>))| {
        let more = racks.len().saturating_sub(3);
        let mut named = racks[..racks.len() - more].join(", ");
        if more > 0 {
            named.push_str(&format!(" and {more} more"));
        }
        let message = format!("racks that this is for have no gear of the kind `{kind}`: {named}");
        Issue::new(Code::UnknownKind, span, message)
            .help("deploy it to another rack, or run a program there that has the kind")
    };
    lacking.into_iter().map(issue).collect()
}

/// What is left of a report that a Mixer minds: which Racks are in a group, and wires between Racks, are its own business.
fn flaws_of(report: &Report) -> Vec<Flaw> {
    let minds = |issue: &&Issue| !matches!(issue.code, Code::GroupOfFleet);
    let mut flaws: Vec<Flaw> = report
        .issues()
        .iter()
        .filter(minds)
        .map(|issue| {
            let place = report.position(issue);
            Flaw {
                code: issue.code.to_string(),
                severity: issue.severity().word().into(),
                file: report.source().name().into(),
                line: place.line as u64,
                column: place.column as u64,
                message: issue.message.clone(),
                help: issue.help.clone(),
            }
        })
        .collect();
    flaws.extend(left_out(report.left_out(), report.source().name()));
    flaws
}

fn spec_flaws(report: &flux_iso8583::Report) -> Vec<Flaw> {
    let flaw = |problem: &flux_iso8583::Problem| Flaw {
        code: problem.code.to_string(),
        severity: match problem.severity {
            flux_iso8583::Severity::Error => "error".into(),
            flux_iso8583::Severity::Warning => "warning".into(),
        },
        file: problem.file.clone(),
        line: problem.line.into(),
        column: problem.column.into(),
        message: problem.message.clone(),
        help: problem.help.clone(),
    };
    report.problems.iter().map(flaw).chain(left_out(report.left_out, SPEC)).collect()
}

fn left_out(count: usize, file: &str) -> Option<Flaw> {
    (count > 0).then(|| Flaw {
        code: Code::TooLarge.to_string(),
        severity: Severity::Error.word().into(),
        file: file.into(),
        line: 1,
        column: 1,
        message: format!("{count} more problems are not shown"),
        help: None,
    })
}

/// A title is a line.
fn short(title: &str) -> String {
    title.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
meta: {name: branch, version: v1.2.0, description: 'Tills and centre'}
racks: [{name: north}, {group: tills, match: {labels: {site: porto}}}]
gears:
  - {name: line, type: io_tcp, deploy: north, config: {mode: server, bind: '127.0.0.1:1'}}
  - {name: till, type: log, deploy: tills}
wires: [{from: line.out, to: till.in}]
";

    fn catalog() -> Catalog {
        flux_gears::builtin().catalog()
    }

    fn codes(text: &str, offers: &[Offer]) -> Vec<String> {
        let flaws = scenario(text.as_bytes(), &catalog(), offers).unwrap_err();
        flaws.iter().map(|flaw| format!("{}@{} {}", flaw.code, flaw.line, flaw.message)).collect()
    }

    fn offer(rack: &str, labels: &[(&str, &str)], kinds: &[&str]) -> Offer {
        Offer {
            rack: Name::new(rack).unwrap(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        }
    }

    #[test]
    fn a_scenario_for_several_racks_is_named_by_itself() {
        let (checked, _) = scenario(GOOD.as_bytes(), &catalog(), &[]).unwrap();
        assert_eq!(
            (checked.name.as_str(), checked.tag.to_string(), checked.title.as_str()),
            ("branch", "1.2.0".into(), "Tills and centre")
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let bad =
            GOOD.replace("io_tcp", "io_tpc").replace("till.in", "till.inn").replace("v1.2.0", "1.2.0+x");
        let told = codes(&bad, &[]);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].starts_with("FR0204@2")
                && told[1].starts_with("FR0211@5")
                && told[2].starts_with("FR0302@7"),
            "{told:?}"
        );
        assert!(codes("gears: 7", &[]).len() > 1);
        assert!(codes("\u{0}{", &[])[0].starts_with("FR0101"));
    }

    #[test]
    fn kinds_are_those_that_the_racks_offer() {
        let offers = [
            offer("north", &[], &["io_tcp"]),
            offer("p1", &[("site", "porto")], &["io_tcp"]),
            offer("far", &[], &["io_tcp"]),
        ];
        let told = codes(GOOD, &offers);
        assert_eq!(told, ["FR0211@6 racks that this is for have no gear of the kind `log`: p1"]);
        assert!(
            scenario(GOOD.as_bytes(), &catalog(), &[offer("p1", &[("site", "porto")], &[])]).is_ok(),
            "it says nothing"
        );
    }

    #[test]
    fn a_spec_is_named_by_itself_and_built_on_others() {
        let shop = b"{id: shop, name: Shop, version: 1.0.0, extends: 'base:1.0.0'}";
        let base = b"{id: base, name: Base, version: 1.0.0, extends: iso87ascii}".to_vec();
        let known = BTreeMap::from([("base:1.0.0".to_owned(), base.clone())]);
        assert_eq!(bases_of(shop, &BTreeMap::new()), BTreeSet::from(["base:1.0.0".to_owned()]));
        let find = |name: &str| known.get(name).cloned().ok_or_else(|| "there is none".to_owned());
        let checked = spec(shop, &find).unwrap();
        assert_eq!((checked.name.as_str(), checked.tag.to_string()), ("shop", "1.0.0".into()));
        let flaws = spec(shop, &|_| Err("there is none".into())).unwrap_err();
        assert!(flaws.iter().any(|flaw| flaw.code == "FR0809"), "{flaws:?}");
        assert_eq!(
            spec(b"{id: 'a b', name: x, version: 1.0.0, extends: iso87ascii}", &find).unwrap_err()[0]
                .code
                .len(),
            6
        );
        assert!(spec(b"{{{", &find).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused_with_a_reason(bytes: Vec<u8>) {
            if let Err(flaws) = scenario(&bytes, &catalog(), &[]) {
                proptest::prop_assert!(flaws.iter().any(|flaw| flaw.severity == "error"));
            }
            if let Err(flaws) = spec(&bytes, &|_| Err("none".into())) {
                proptest::prop_assert!(!flaws.is_empty());
            }
        }
    }
}
