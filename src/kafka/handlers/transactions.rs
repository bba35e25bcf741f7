//! DescribeTransactions and ListTransactions (KIP-664): there are no transactions, and that is what is told.

use super::{Answer, Context, Reply};
use crate::kafka::codec::{
    Array, DescribeTransactionsRequest, DescribeTransactionsResponse, DescribedTransaction, Elements,
    ListTransactionsRequest, ListTransactionsResponse, Request,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{ProducerEpoch, ProducerId, ReadError};

/// What Kafka calls the states of a transaction.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

const TRANSACTION_BYTES: usize = 64;

/// The reply to DescribeTransactions: an id takes a byte at least.
pub fn estimate(_cx: &Context<'_>, request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    let body: DescribeTransactionsRequest<'_> = request.body()?;
    Ok(256 + 2 * frame_bytes + TRANSACTION_BYTES * body.transactional_ids.len())
}

/// DescribeTransactions.
pub fn describe(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: DescribeTransactionsRequest<'_> = request.body()?;
    let each = |out: &mut Elements<'_, '_, DescribedTransaction<'static>>| {
        for transactional_id in body.transactional_ids {
            out.put(DescribedTransaction {
                error_code: ErrorCode::TRANSACTIONAL_ID_NOT_FOUND,
                transactional_id,
                producer_id: ProducerId(-1),
                producer_epoch: ProducerEpoch(-1),
                ..Default::default()
            });
        }
    };
    let transaction_states = Array::counted(body.transactional_ids.len(), &each);
    Ok(reply.send(&mut cx.out, &DescribeTransactionsResponse { transaction_states, ..Default::default() }))
}

/// ListTransactions.
pub fn list(cx: &mut Context<'_>, request: Request<'_>, reply: Reply) -> Result<Answer, ReadError> {
    let body: ListTransactionsRequest<'_> = request.body()?;
    let each = |out: &mut Elements<'_, '_, &'static str>| {
        body.state_filters.iter().filter(|state| !STATES.contains(state)).for_each(|state| out.put(state));
    };
    let unknown_state_filters = Array::each(&each);
    Ok(reply.send(&mut cx.out, &ListTransactionsResponse { unknown_state_filters, ..Default::default() }))
}
