//! DescribeClientQuotas and AlterClientQuotas (KIP-546): how much users and clients may ask for.

use super::{Answer, Context, Pending, Reply};
use crate::engine::cluster::QuotaValues;
use crate::engine::cluster::quotas::{DEFAULT_ENTITY, decode};
use crate::engine::{Completion, ConfigError, ProposeError, QuotaChange, QuotaOwner, TreeError};
use crate::kafka::codec::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterQuotaEntry, AlteredQuotaEntry, Array,
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, Elements, QuotaEntity, QuotaEntry, QuotaFilterComponent,
    QuotaValue, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::limits::{KAFKA_CONFIG_CONFLICTS_MAX, KAFKA_CONFIG_RESOURCES_MAX};
use crate::types::ReadError;

const USER: &str = "user";
const CLIENT: &str = "client-id";
const ADDRESS: &str = "ip";

const EXACTLY: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

/// An entity with its values in the answer.
const ENTRY_BYTES: usize = 1024;

/// Changes of one entity that are looked at: there are fewer keys, so that one of so many is unknown.
const CHANGES_MAX: usize = 16;

type Refusal = (ErrorCode, Box<str>);

fn wrong(sentence: impl Into<Box<str>>) -> Refusal {
    (ErrorCode::INVALID_REQUEST, sentence.into())
}

/// What a filter says of one part of an entity.
#[derive(Clone, Copy, Debug)]
enum Wanted<'a> {
    /// Nothing; a strict filter wants it to be absent.
    Unsaid,
    Default,
    Any,
    Name(&'a str),
}

/// The reply to DescribeClientQuotas.
pub fn estimate_describe(cx: &Context<'_>, _request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    Ok(1024 + frame_bytes + ENTRY_BYTES * cx.engine.view().quotas.len())
}

/// DescribeClientQuotas, answered at once from the tree.
pub fn describe(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeClientQuotasRequest<'_> = request.body()?;
    let (user, client) = match read_filter(&body) {
        Ok(wanted) => wanted,
        Err((error_code, sentence)) => {
            let response =
                DescribeClientQuotasResponse { error_code, error_message: Some(&sentence), ..Default::default() };
            return Ok(reply.send(&mut cx.out, &response));
        }
    };
    let quotas = &cx.engine.view().quotas;
    let each = |out: &mut Elements<'_, '_, QuotaEntry<'static>>| {
        let met = quotas.iter().filter(|(of_user, of_client, _)| {
            user.is_some_and(|user| user.is_met(*of_user, body.strict))
                && client.is_some_and(|client| client.is_met(*of_client, body.strict))
        });
        met.for_each(|(user, client, values)| put_entry(out, user, client, values));
    };
    let entries = Some(Array::each(&each));
    Ok(reply.send(&mut cx.out, &DescribeClientQuotasResponse { entries, ..Default::default() }))
}

/// What is wanted of the user and of the client; `None` where nothing can be: quotas of addresses.
type Filter<'a> = (Option<Wanted<'a>>, Option<Wanted<'a>>);

fn read_filter<'a>(body: &DescribeClientQuotasRequest<'a>) -> Result<Filter<'a>, Refusal> {
    let (mut user, mut client, mut address) = (None, None, None);
    for QuotaFilterComponent { entity_type, match_type, _match } in body.components {
        let place = match entity_type {
            USER => &mut user,
            CLIENT => &mut client,
            ADDRESS => &mut address,
            "" => return Err(wrong("Unexpected empty filter component entity type")),
            _ => {
                let sentence = format!("Custom entity type {entity_type:.100} not supported");
                return Err((ErrorCode::UNSUPPORTED_VERSION, sentence.into()));
            }
        };
        if place.is_some() {
            return Err(wrong(format!("Duplicate {entity_type} filter component entity type")));
        }
        *place = Some(match (match_type, _match) {
            (EXACTLY, Some(name)) => Wanted::Name(name),
            (EXACTLY, None) => return Err(wrong("Request specifies MATCH_TYPE_EXACT, but no name")),
            (DEFAULT, None) => Wanted::Default,
            (ANY, None) => Wanted::Any,
            (DEFAULT | ANY, Some(_)) => return Err(wrong("Request specifies a name beside a match type without one")),
            (other, _) => return Err(wrong(format!("Request specifies unexpected match type {other}"))),
        });
    }
    match (user, client, address) {
        (None, None, Some(_)) => Ok((None, None)),
        (_, _, Some(_)) => Err(wrong(
            "Invalid entity filter component combination, IP filter component should not be used with user or \
             clientId filter component.",
        )),
        (user, client, None) => Ok((Some(user.unwrap_or(Wanted::Unsaid)), Some(client.unwrap_or(Wanted::Unsaid)))),
    }
}

impl Wanted<'_> {
    /// `part` is the name of a znode, or absent.
    fn is_met(self, part: Option<&str>, is_strict: bool) -> bool {
        match self {
            Wanted::Unsaid => part.is_none() || !is_strict,
            Wanted::Default => part == Some(DEFAULT_ENTITY),
            Wanted::Any => part.is_some(),
            Wanted::Name(name) => part.is_some_and(|part| part != DEFAULT_ENTITY && decode(part) == name),
        }
    }
}

fn put_entry(
    out: &mut Elements<'_, '_, QuotaEntry<'static>>,
    user: Option<&str>,
    client: Option<&str>,
    values: &QuotaValues,
) {
    let entity = |out: &mut Elements<'_, '_, QuotaEntity<'static>>| {
        for (entity_type, part) in [(USER, user), (CLIENT, client)] {
            let Some(part) = part else { continue };
            let name = decode(part);
            let entity_name = Some(&*name).filter(|_| part != DEFAULT_ENTITY);
            out.put(QuotaEntity { entity_type, entity_name });
        }
    };
    let each = |out: &mut Elements<'_, '_, QuotaValue<'static>>| {
        values.iter().for_each(|(kind, value)| out.put(QuotaValue { key: kind.key(), value }));
    };
    out.put(QuotaEntry { entity: Array::each(&entity), values: Array::each(&each) });
}

/// A request whose quotas are being altered.
#[derive(Debug)]
struct AlterQuotas {
    reply: Reply,
    parts: Vec<Part>,
    /// Parts that the engine has not answered.
    missing: usize,
}

#[derive(Debug)]
struct Part {
    /// As it was asked for: type and name of each component.
    entity: Vec<(Box<str>, Option<Box<str>>)>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Done,
    Refused(Refusal),
    /// Proposed for so many times.
    Waits {
        owner: QuotaOwner,
        changes: Vec<QuotaChange>,
        tries: u32,
    },
}

/// What is kept of a request to AlterClientQuotas, and the reply.
pub fn estimate_alter(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: AlterClientQuotasRequest<'_> = request.body()?;
    let components: usize = body.entries.iter().map(|entry| entry.entity.len()).sum();
    Ok(256 + 4 * frame_bytes + ENTRY_BYTES * body.entries.len() + 64 * components)
}

/// AlterClientQuotas.
pub fn alter(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: AlterClientQuotasRequest<'_> = request.body()?;
    let mut pending = AlterQuotas { reply, parts: Vec::with_capacity(body.entries.len()), missing: 0 };
    let mut seen = std::collections::BTreeSet::new();
    for (at, entry) in body.entries.iter().enumerate() {
        let named = |one: QuotaEntity<'_>| (one.entity_type.into(), one.entity_name.map(Box::from));
        let entity = entry.entity.iter().map(named).collect();
        let outcome = match read_entry(&entry) {
            _ if at >= KAFKA_CONFIG_RESOURCES_MAX => Outcome::Refused(wrong("too many entities in one request")),
            Ok((owner, _)) if !seen.insert(owner.clone()) => {
                Outcome::Refused(wrong("the request names the entity twice"))
            }
            Ok((owner, changes)) => ask(cx, at as u32, owner, changes, body.validate_only, 0),
            Err(refusal) => Outcome::Refused(refusal),
        };
        pending.missing += matches!(outcome, Outcome::Waits { .. }) as usize;
        pending.parts.push(Part { entity, outcome });
    }
    Ok(if pending.missing > 0 { Answer::Later(Box::new(pending)) } else { pending.answer(cx) })
}

fn read_entry(entry: &AlterQuotaEntry<'_>) -> Result<(QuotaOwner, Vec<QuotaChange>), Refusal> {
    let mut owner = QuotaOwner::default();
    for QuotaEntity { entity_type, entity_name } in entry.entity {
        let place = match entity_type {
            USER => &mut owner.user,
            CLIENT => &mut owner.client,
            ADDRESS => return Err(wrong("connections of an address are not limited here")),
            _ => return Err(wrong(format!("Unhandled client quota entity type: {entity_type:.100}"))),
        };
        if place.replace(entity_name.map(str::to_owned)).is_some() {
            return Err(wrong("Duplicate client quota entity type"));
        }
    }
    let mut changes: Vec<QuotaChange> = Vec::new();
    for op in entry.ops.iter().take(CHANGES_MAX) {
        if changes.iter().any(|(key, _)| key == op.key) {
            return Err(wrong("Duplicate configuration key"));
        }
        changes.push((op.key.into(), (!op.remove).then_some(op.value)));
    }
    Ok((owner, changes))
}

fn ask(
    cx: &mut Context<'_>,
    item: u32,
    owner: QuotaOwner,
    changes: Vec<QuotaChange>,
    validate_only: bool,
    tries: u32,
) -> Outcome {
    let waiter = cx.waiter(item);
    match cx.engine.alter_quota(cx.now, &owner, &changes, validate_only, waiter) {
        Ok(false) => Outcome::Done,
        Ok(true) => Outcome::Waits { owner, changes, tries: tries + 1 },
        Err(ConfigError::UnknownTopic) => Outcome::Refused(wrong("there is no such entity")),
        Err(ConfigError::Invalid(sentence) | ConfigError::Request(sentence)) => Outcome::Refused(wrong(sentence)),
    }
}

impl Pending for AlterQuotas {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        let Completion::Proposed(result) = completion else { return Answer::Later(self) };
        let Some(part) = self.parts.get_mut(item as usize) else { return Answer::Later(self) };
        let Outcome::Waits { owner, changes, tries } = std::mem::replace(&mut part.outcome, Outcome::Done) else {
            return Answer::Later(self);
        };
        part.outcome = match result.map(|result| result.outcome.err().map(|error| error.code)) {
            Ok(None) => Outcome::Done,
            Ok(Some(TreeError::BadVersion | TreeError::NodeExists | TreeError::NoNode))
                if tries < KAFKA_CONFIG_CONFLICTS_MAX =>
            {
                ask(cx, item, owner, changes, false, tries)
            }
            Ok(Some(TreeError::TreeFull)) | Err(ProposeError::TooLarge) => {
                Outcome::Refused((ErrorCode::POLICY_VIOLATION, "the memory for configurations is used up".into()))
            }
            _ => Outcome::Refused((ErrorCode::REQUEST_TIMED_OUT, "the change was not agreed upon: try again".into())),
        };
        if !matches!(part.outcome, Outcome::Waits { .. }) {
            self.missing = self.missing.saturating_sub(1);
        }
        if self.missing > 0 { Answer::Later(self) } else { self.answer(cx) }
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}

impl AlterQuotas {
    fn answer(self, cx: &mut Context<'_>) -> Answer {
        let AlterQuotas { reply, parts, .. } = self;
        let each = |out: &mut Elements<'_, '_, AlteredQuotaEntry<'static>>| {
            for part in &parts {
                let entity = |out: &mut Elements<'_, '_, QuotaEntity<'static>>| {
                    for (entity_type, name) in &part.entity {
                        out.put(QuotaEntity { entity_type, entity_name: name.as_deref() });
                    }
                };
                let (error_code, error_message) = match &part.outcome {
                    Outcome::Refused((code, sentence)) => (*code, Some(&**sentence)),
                    _ => (ErrorCode::NONE, None),
                };
                out.put(AlteredQuotaEntry { error_code, error_message, entity: Array::each(&entity) });
            }
        };
        let entries = Array::counted(parts.len(), &each);
        reply.send(&mut cx.out, &AlterClientQuotasResponse { entries, ..Default::default() })
    }
}
