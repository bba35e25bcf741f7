//! Members of the classic protocol in a consumer group (KIP-848's online migration).
//!
//! They join, sync and report as ever, and are told to join again whenever there is something for them to do; what they
//! read is what the coordinator has assigned. Nobody leads: their own assignors have nothing to say. A generation is the
//! member's epoch.

use std::sync::Arc;

use bytes::Bytes;

use super::embedded::{Subscription, encode_assignment};
use super::membership::Said;
use super::metadata::TopicView;
use super::{ClassicMember, Consumer, ConsumerMember, Context, LEAVING_FOR_A_WHILE, MemberState, Owed};
use crate::broker::Waiter;
use crate::broker::groups::group::{CONSUMER, Timer};
use crate::broker::groups::member::MemberProtocol;
use crate::broker::groups::{
    Group, GroupAnswer, GroupError, JoinRefusal, JoinRequest, Joined, Leaving, MemberOf, SyncRequest, Synced,
};
use crate::types::Now;

impl Group {
    /// A JoinGroup to a consumer group with members.
    pub(in crate::broker::groups) fn classic_join(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        request: &JoinRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), JoinRefusal> {
        let number = self.number;
        let consumer = self.consumer.as_deref_mut().ok_or(GroupError::UnknownMember)?;
        let is_known = consumer.members.contains_key(request.member)
            || request.instance.is_some_and(|instance| consumer.static_members.contains_key(instance));
        if !is_known && consumer.members.len() >= cx.config.consumer_members_max as usize {
            return Err(GroupError::GroupFull.into());
        }
        if !consumer.takes(request) {
            return Err(GroupError::InconsistentProtocol.into());
        }
        let metadata = request.protocols.first().map_or(&[][..], |(_, metadata)| metadata);
        let said = Subscription::decode(metadata, view.topics).map_err(|_| GroupError::InconsistentProtocol)?;
        if request.member.is_empty() && request.instance.is_none() && request.takes_member_id {
            let member: Arc<str> = cx.new_id(request.client_id).into();
            return Err(JoinRefusal { error: GroupError::MemberIdRequired, member });
        }
        let (id, is_new) = consumer.find_or_add_classic(cx, number, request)?;
        let is_changed = consumer.update_classic(cx, &id, request, &said);
        if is_new && is_changed.is_err() {
            consumer.members.remove(&id); // nothing else knows of it yet
        }
        let is_changed = is_changed? || is_new;
        let advanced = consumer.advance(cx, now, view, &id, is_changed, Some(&said.owned));
        self.set_consumer_timers(cx, now, &id); // it is a member, also when there was no memory to go on
        advanced?;
        let Some(member) = self.consumer.as_deref_mut().and_then(|consumer| consumer.members.get_mut(&id)) else {
            return Err(GroupError::UnknownMember.into());
        };
        member.owe(cx, now, number, Owed::Sync);
        let joined = Joined {
            generation: member.epoch,
            protocol_type: Some(CONSUMER.into()),
            protocol: member.protocol(),
            leader: "".into(),
            member: id,
            skip_assignment: false,
            members: Vec::new(),
        };
        self.save_consumer(cx, now, Some((waiter, GroupAnswer::Joined(Ok(joined)))));
        Ok(())
    }

    /// A SyncGroup to a consumer group.
    pub(in crate::broker::groups) fn classic_sync(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        request: &SyncRequest<'_>,
        waiter: Waiter,
    ) -> Result<(), GroupError> {
        let number = self.number;
        let consumer = self.consumer.as_deref_mut().ok_or(GroupError::UnknownMember)?;
        let group_epoch = consumer.epoch;
        let member = consumer.classic_member(&request.from)?;
        let protocol = member.protocol();
        let differs = |said: Option<&str>, own: Option<&str>| said.is_some_and(|said| own != Some(said));
        if differs(request.protocol_type, Some(CONSUMER)) || differs(request.protocol, protocol.as_deref()) {
            return Err(GroupError::InconsistentProtocol);
        }
        if group_epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
            member.owe(cx, now, number, Owed::Rejoin);
            return Err(GroupError::RebalanceInProgress);
        }
        member.owe(cx, now, number, Owed::Nothing);
        let assignment = Bytes::from(encode_assignment(member.version(view), &member.assigned, view.topics));
        let synced = Synced { protocol_type: Some(CONSUMER.into()), protocol, assignment };
        self.set_consumer_timers(cx, now, request.from.member);
        self.save_consumer(cx, now, Some((waiter, GroupAnswer::Synced(Ok(synced)))));
        Ok(())
    }

    /// A Heartbeat to a consumer group.
    pub(in crate::broker::groups) fn classic_heartbeat(
        &mut self,
        cx: &mut Context,
        now: Now,
        from: &MemberOf<'_>,
    ) -> Result<(), GroupError> {
        let number = self.number;
        let consumer = self.consumer.as_deref_mut().ok_or(GroupError::UnknownMember)?;
        let (group_epoch, is_waiting) = (consumer.epoch, consumer.waits_for_others(from.member));
        let member = consumer.classic_member(from)?;
        let must_rejoin = match member.state {
            _ if member.epoch < group_epoch => true,
            MemberState::Stable => false,
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !is_waiting,
        };
        if must_rejoin {
            member.owe(cx, now, number, Owed::Rejoin);
        }
        self.set_consumer_timers(cx, now, from.member);
        if must_rejoin { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    /// A LeaveGroup to a consumer group: of a member itself, or by an administrator.
    pub(in crate::broker::groups) fn leave_consumer(
        &mut self,
        cx: &mut Context,
        now: Now,
        view: TopicView<'_>,
        leaving: Leaving<'_>,
    ) -> Result<(), GroupError> {
        let consumer = self.consumer.as_deref().ok_or(GroupError::UnknownMember)?;
        let id = match leaving.instance {
            None => consumer.members.get_key_value(leaving.member).map(|(id, _)| id),
            Some(instance) => consumer.static_members.get(instance),
        };
        let id = id.cloned().ok_or(GroupError::UnknownMember)?;
        if leaving.instance.is_some() && !leaving.member.is_empty() && *id != *leaving.member {
            return Err(GroupError::FencedInstance);
        }
        self.remove_consumer(cx, now, view, &id);
        Ok(())
    }
}

impl Consumer {
    /// True when the members of the classic protocol could agree with this one on an assignor.
    fn takes(&self, request: &JoinRequest<'_>) -> bool {
        let has = |classic: &ClassicMember, name: &str| classic.protocols.iter().any(|one| *one.name == *name);
        let is_everybodys =
            |name: &str| self.members.values().filter_map(|member| member.classic.as_ref()).all(|one| has(one, name));
        request.protocol_type == CONSUMER && request.protocols.iter().any(|(name, _)| is_everybodys(name))
    }

    fn find_or_add_classic(
        &mut self,
        cx: &mut Context,
        group: u32,
        request: &JoinRequest<'_>,
    ) -> Result<(Arc<str>, bool), GroupError> {
        let owner = request.instance.and_then(|instance| self.static_members.get(instance).cloned());
        match owner {
            Some(owner) if *owner == *request.member => return Ok((owner, false)),
            Some(_) if !request.member.is_empty() => return Err(GroupError::FencedInstance),
            Some(owner) => {
                let id: Arc<str> = cx.new_id(request.instance.unwrap_or_default()).into();
                self.replace(cx, group, &owner, &id);
                return Ok((id, false));
            }
            None if request.instance.is_some() && !request.member.is_empty() => return Err(GroupError::UnknownMember),
            None => {}
        }
        if let Some((id, _)) = self.members.get_key_value(request.member) {
            return Ok((id.clone(), false));
        }
        let id: Arc<str> = match request.member {
            "" => cx.new_id(request.instance.unwrap_or(request.client_id)).into(),
            id => id.into(),
        };
        self.members.insert(id.clone(), ConsumerMember { number: cx.next_number(), ..Default::default() });
        Ok((id, true))
    }

    fn update_classic(
        &mut self,
        cx: &Context,
        id: &Arc<str>,
        request: &JoinRequest<'_>,
        said: &Subscription<'_>,
    ) -> Result<bool, GroupError> {
        let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
        let protocol = |&(name, metadata): &(&str, &[u8])| MemberProtocol {
            name: name.into(),
            metadata: Bytes::copy_from_slice(metadata),
        };
        let before = member.classic.take();
        member.classic = Some(ClassicMember {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.iter().map(protocol).collect(),
        });
        if member.epoch == LEAVING_FOR_A_WHILE {
            member.epoch = 0;
        }
        let said = Said {
            instance: request.instance,
            rack: said.rack,
            rebalance_timeout_ms: Some(request.rebalance_timeout_ms),
            topics: Some(said.topics.clone()),
            client_id: request.client_id,
            client_host: request.client_host,
            ..Said::default()
        };
        // What accounts for it is taken anew whenever something has changed.
        let has_other = self.members.get(id).is_some_and(|member| member.classic != before);
        self.update(cx, id, &said, has_other)
    }

    /// The member of the classic protocol that sends this.
    fn classic_member(&mut self, from: &MemberOf<'_>) -> Result<&mut ConsumerMember, GroupError> {
        if let Some(instance) = from.instance {
            match self.static_members.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(owner) if **owner != *from.member => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        let member = self.members.get_mut(from.member).filter(|member| member.classic.is_some());
        let member = member.ok_or(GroupError::UnknownMember)?;
        if member.epoch == from.generation { Ok(member) } else { Err(GroupError::IllegalGeneration) }
    }
}

impl ConsumerMember {
    /// The assignor that it likes best: what it is told is selected.
    fn protocol(&self) -> Option<Arc<str>> {
        self.classic.as_ref()?.protocols.first().map(|protocol| (*protocol.name).into())
    }

    /// The version of the form in which it subscribes.
    pub(super) fn version(&self, view: TopicView<'_>) -> i16 {
        let metadata = self.classic.as_ref().and_then(|classic| classic.protocols.first()).map(|one| &one.metadata);
        let said = metadata.and_then(|metadata| Subscription::decode(metadata, view.topics).ok());
        said.map_or(0, |said| said.version)
    }

    /// What it must do within its rebalance timeout; a deadline that runs already stands.
    fn owe(&mut self, cx: &mut Context, now: Now, group: u32, owed: Owed) {
        if self.owed == owed {
            return;
        }
        self.owed = owed;
        let timer = (group, Timer::Owed(self.number));
        match owed {
            Owed::Nothing => cx.timers.cancel(timer),
            _ => cx.timers.set(timer, now.mono.plus_millis(self.rebalance_timeout_ms.max(0) as u64)),
        }
    }
}
