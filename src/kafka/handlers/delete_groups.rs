//! DeleteGroups: forgets empty groups with their offsets; answered when that is durable.

use super::groups::result_code;
use super::{Answer, Context, Pending, Reply};
use crate::engine::{Completion, GroupError};
use crate::kafka::codec::{Array, DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse, Elements, Request};
use crate::types::ReadError;

/// A request whose tombstones are being written.
#[derive(Debug)]
struct DeleteGroups {
    reply: Reply,
    results: Vec<(Box<str>, Result<(), GroupError>)>,
    missing: usize,
}

/// Asks the engine, group by group.
pub fn handle(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DeleteGroupsRequest<'_> = request.body()?;
    let (mut results, mut missing) = (Vec::new(), 0);
    for (item, group) in body.groups_names.iter().enumerate() {
        let waiter = cx.waiter(item as u32);
        let result = cx.engine.delete_group(cx.now, group, waiter);
        missing += usize::from(result.is_ok());
        results.push((Box::from(group), result));
    }
    Ok(Box::new(DeleteGroups { reply, results, missing }).go_on(cx))
}

impl DeleteGroups {
    fn go_on(self: Box<Self>, cx: &mut Context<'_>) -> Answer {
        if self.missing > 0 {
            return Answer::Later(self);
        }
        let DeleteGroups { reply, results, .. } = *self;
        let each = |out: &mut Elements<'_, '_, DeletableGroupResult<'static>>| {
            for (group_id, result) in &results {
                out.put(DeletableGroupResult { group_id, error_code: result_code(*result) });
            }
        };
        let response = DeleteGroupsResponse { results: Array::counted(results.len(), &each), ..Default::default() };
        reply.send(&mut cx.out, &response)
    }
}

impl Pending for DeleteGroups {
    fn complete(mut self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer {
        let Completion::Stored(result) = completion else { return Answer::Later(self) };
        if let Some((_, kept)) = self.results.get_mut(item as usize) {
            *kept = result;
        }
        self.missing = self.missing.saturating_sub(1);
        self.go_on(cx)
    }

    fn wake(self: Box<Self>, _cx: &mut Context<'_>) -> Answer {
        Answer::Later(self)
    }
}
