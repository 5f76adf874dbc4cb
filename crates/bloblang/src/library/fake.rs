//! Made-up data: names, addresses, numbers that look real and belong to nobody.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::library::ids::uuid;
use crate::library::world::random;
use crate::library::{Call, Default, Param, Spec};
use crate::run::{Outcome, fail};
use crate::{Value, layout, library};

pub(crate) const FUNCTIONS: &[Spec] =
    &[Spec::function("fake", &[Param::text("function").or(Default::Text(""))], fake)];

const FEMALE: &[&str] =
    &["Ada", "Grace", "Hedy", "Joan", "Katherine", "Lise", "Mary", "Radia", "Sofia", "Wilma"];
const MALE: &[&str] =
    &["Alan", "Claude", "Dennis", "Edsger", "John", "Ken", "Linus", "Niklaus", "Tony", "Vint"];
const LAST: &[&str] =
    &["Byron", "Falk", "Hopper", "Keller", "Lindt", "Moreau", "Novak", "Okafor", "Rossi", "Weber"];
const CHINESE_FIRST: &[&str] = &["伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋"];
const CHINESE_LAST: &[&str] = &["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴"];
const WORDS: &[&str] = &[
    "alias", "amet", "aut", "commodi", "dicta", "dolor", "est", "fuga", "harum", "ipsum", "iure", "labore",
    "lorem", "nisi", "optio", "quia", "sit", "totam", "ullam", "vero",
];
const DOMAINS: &[&str] = &["example.com", "example.net", "example.org"];
const CURRENCIES: &[&str] = &["CHF", "EUR", "GBP", "JPY", "NOK", "USD"];
const ZONES: &[&str] = &["Africa/Lagos", "America/Lima", "Asia/Tokyo", "Europe/Zurich", "Pacific/Auckland"];
const CENTURIES: &[&str] = &["XV", "XVI", "XVII", "XVIII", "XIX", "XX", "XXI"];
const CARDS: &[(&str, &str, usize)] =
    &[("VISA", "4", 16), ("MasterCard", "51", 16), ("American Express", "34", 15), ("Discover", "6011", 16)];

/// Chance, taken piece by piece.
struct Dice<'c, 's, 'r>(&'c Call<'s, 'r>);

impl Dice<'_, '_, '_> {
    fn below(&self, limit: u64) -> u64 {
        u64::from_le_bytes(random(self.0)) % limit
    }

    fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn digits(&self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    fn hex(&self, groups: usize, width: usize, between: &str) -> String {
        let group = |_| format!("{:0width$x}", self.below(1 << (4 * width)));
        (0..groups).map(group).collect::<Vec<_>>().join(between)
    }

    fn words(&self, count: u64) -> String {
        (0..count).map(|_| self.one(WORDS)).collect::<Vec<_>>().join(" ")
    }

    fn sentence(&self) -> String {
        let count = 4 + self.below(8);
        let words = self.words(count);
        format!("{}{}.", words[..1].to_uppercase(), &words[1..])
    }

    fn first(&self) -> &'static str {
        if self.below(2) == 0 { self.one(FEMALE) } else { self.one(MALE) }
    }

    /// A time between 1970 and now, as a layout shows it.
    fn time(&self, layout: &str) -> Value {
        let seconds = self.seconds();
        let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        Value::from(layout::format(&at.to_zoned(TimeZone::UTC), layout))
    }

    fn seconds(&self) -> i64 {
        let now = self.0.runner.program.host.now().as_second().max(1);
        self.below(now.unsigned_abs()) as i64
    }

    /// A card number of a scheme that is not issued, with a check digit that is right.
    fn card_number(&self) -> String {
        let (_, prefix, length) = self.one(CARDS);
        let digits = format!("{prefix}{}", self.digits(length - prefix.len() - 1));
        let doubled = |(n, digit): (usize, u32)| match (n % 2, digit * 2) {
            (0, double) => double / 10 + double % 10,
            _ => digit,
        };
        let sum: u32 = digits.chars().rev().filter_map(|c| c.to_digit(10)).enumerate().map(doubled).sum();
        format!("{digits}{}", (10 - sum % 10) % 10)
    }

    fn phone(&self) -> String {
        format!("{}-{}-{}", self.digits(3), self.digits(3), self.digits(4))
    }

    fn jwt(&self) -> String {
        let part = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        let claims = format!(r#"{{"sub":"{}"}}"#, self.digits(10));
        let signature: [u8; 32] = random(self.0);
        [part(br#"{"alg":"HS256","typ":"JWT"}"#), part(claims.as_bytes()), part(&signature)].join(".")
    }
}

fn fake(call: &mut Call) -> Outcome {
    let name = call.text(0)?.to_owned();
    let dice = Dice(call);
    if let Some(value) =
        of_time(&dice, &name).or_else(|| of_people(&dice, &name)).or_else(|| of_things(&dice, &name))
    {
        return Ok(value);
    }
    fail!("no such data: among others there are name, email, ipv4, sentence and timestamp")
}

fn of_time(dice: &Dice, name: &str) -> Option<Value> {
    Some(match name {
        "unix_time" => Value::Int(dice.seconds()),
        "date" => dice.time("2006-01-02"),
        "time_string" => dice.time("15:04:05"),
        "month_name" => dice.time("January"),
        "year_string" => dice.time("2006"),
        "day_of_week" => dice.time("Monday"),
        "day_of_month" => dice.time("2"),
        "timestamp" => dice.time("2006-01-02 15:04:05"),
        "time_period" => dice.time("PM"),
        "century" => dice.one(CENTURIES).into(),
        "timezone" => dice.one(ZONES).into(),
        _ => return None,
    })
}

fn of_people(dice: &Dice, name: &str) -> Option<Value> {
    Some(match name {
        "title_male" => dice.one(&["Mr.", "Dr.", "Prof."]).into(),
        "title_female" => dice.one(&["Mrs.", "Ms.", "Dr.", "Prof."]).into(),
        "first_name" => dice.first().into(),
        "first_name_male" => dice.one(MALE).into(),
        "first_name_female" => dice.one(FEMALE).into(),
        "last_name" => dice.one(LAST).into(),
        "name" => Value::from(format!("{} {}", dice.first(), dice.one(LAST))),
        "gender" => dice.one(&["Female", "Male", "Prefer to skip"]).into(),
        "chinese_first_name" => dice.one(CHINESE_FIRST).into(),
        "chinese_last_name" => dice.one(CHINESE_LAST).into(),
        "chinese_name" => Value::from(format!("{}{}", dice.one(CHINESE_LAST), dice.one(CHINESE_FIRST))),
        "phone_number" => Value::from(dice.phone()),
        "toll_free_phone_number" => Value::from(format!("(800) {}", dice.digits(7))),
        "e164_phone_number" => Value::from(format!("+{}{}", 1 + dice.below(9), dice.digits(10))),
        "email" => {
            let user = format!("{}.{}", dice.first(), dice.one(LAST)).to_lowercase();
            Value::from(format!("{user}@{}", dice.one(DOMAINS)))
        }
        "username" => Value::from(format!("{}{}", dice.one(WORDS), dice.digits(3))),
        _ => return None,
    })
}

fn of_things(dice: &Dice, name: &str) -> Option<Value> {
    Some(match name {
        "latitude" => Value::Float(dice.below(180_000_000) as f64 / 1e6 - 90.0),
        "longitude" => Value::Float(dice.below(360_000_000) as f64 / 1e6 - 180.0),
        "mac_address" => Value::from(dice.hex(6, 2, ":")),
        "domain_name" => dice.one(DOMAINS).into(),
        "url" => Value::from(format!("https://{}/{}", dice.one(DOMAINS), dice.one(WORDS))),
        "ipv4" => Value::from((0..4).map(|_| dice.below(256).to_string()).collect::<Vec<_>>().join(".")),
        "ipv6" => Value::from(dice.hex(8, 4, ":")),
        "password" => Value::from(library::base64(&random::<18>(dice.0))),
        "jwt" => Value::from(dice.jwt()),
        "word" => dice.one(WORDS).into(),
        "sentence" => Value::from(dice.sentence()),
        "paragraph" => Value::from([dice.sentence(), dice.sentence(), dice.sentence()].join(" ")),
        "cc_type" => dice.one(CARDS).0.into(),
        "cc_number" => Value::from(dice.card_number()),
        "currency" => dice.one(CURRENCIES).into(),
        "amount_with_currency" => {
            Value::from(format!("{} {}.{}", dice.one(CURRENCIES), 1 + dice.below(9999), dice.digits(2)))
        }
        "uuid_hyphenated" => Value::from(uuid(random(dice.0))),
        "uuid_digit" => Value::from(uuid(random(dice.0)).replace('-', "")),
        _ => return None,
    })
}
