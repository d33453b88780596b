//! Lists of tasks, and lists inside lists.

use super::TaskInfo;

/// Tasks that belong together.
pub(crate) struct List<T> {
    pub(crate) members: Vec<Member<T>>,
    pub(crate) concurrent: bool,
    pub(crate) continue_on_error: bool,
}

/// A task, or a list that keeps its own rules inside another one.
pub(crate) enum Member<T> {
    Task(T),
    List(List<T>),
    /// Where a task would be that was refused: what is behind it does not run.
    Refused(TaskInfo),
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            concurrent: false,
            continue_on_error: false,
        }
    }
}

impl<T> List<T> {
    pub(crate) fn concurrent() -> Self {
        Self {
            concurrent: true,
            ..Self::default()
        }
    }

    /// Puts the members of `list`, which were taken from here, before those that came meanwhile.
    pub(crate) fn put_back(&mut self, list: Self) {
        let came_meanwhile = std::mem::replace(self, list);
        self.members.extend(came_meanwhile.members);
        self.continue_on_error |= came_meanwhile.continue_on_error;
    }

    /// Adds a member. Most lists have one, so the space for more comes with the second.
    pub(crate) fn push(&mut self, member: Member<T>) {
        if self.members.is_empty() {
            self.members.reserve_exact(1);
        }
        self.members.push(member);
    }

    /// Adds a member; the members of a list that keeps the same rules, instead of the list.
    pub(crate) fn push_flat(&mut self, member: Member<T>) {
        let rules = |list: &Self| (list.concurrent, list.continue_on_error);
        match member {
            Member::List(list) if rules(&list) == rules(self) && !list.concurrent => {
                if self.members.is_empty() {
                    self.members = list.members;
                } else {
                    self.members.extend(list.members);
                }
            }
            member => self.push(member),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.iter().all(Member::is_empty)
    }

    pub(crate) fn filter_map<U>(self, f: &mut impl FnMut(T) -> Option<Member<U>>) -> List<U> {
        let members = self
            .members
            .into_iter()
            .filter_map(|member| member.filter_map(f))
            .collect();
        List {
            members,
            concurrent: self.concurrent,
            continue_on_error: self.continue_on_error,
        }
    }

    pub(crate) fn for_each(self, f: &mut impl FnMut(T)) {
        for member in self.members {
            member.for_each(f);
        }
    }

    /// Shows every task, in order.
    pub(crate) fn visit(&self, f: &mut impl FnMut(&T)) {
        for member in &self.members {
            member.visit(f);
        }
    }

    pub(crate) fn for_each_mut(&mut self, f: &mut impl FnMut(&mut T)) {
        for member in &mut self.members {
            match member {
                Member::Task(task) => f(task),
                Member::List(list) => list.for_each_mut(f),
                Member::Refused(_) => {}
            }
        }
    }
}

impl<T> Member<T> {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Task(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Refused(_) => true,
        }
    }

    pub(crate) fn filter_map<U>(
        self,
        f: &mut impl FnMut(T) -> Option<Member<U>>,
    ) -> Option<Member<U>> {
        match self {
            Self::Task(task) => f(task),
            Self::List(list) => Some(Member::List(list.filter_map(f))),
            Self::Refused(task) => Some(Member::Refused(task)),
        }
    }

    pub(crate) fn for_each(self, f: &mut impl FnMut(T)) {
        match self {
            Self::Task(task) => f(task),
            Self::List(list) => list.for_each(f),
            Self::Refused(_) => {}
        }
    }

    pub(crate) fn visit(&self, f: &mut impl FnMut(&T)) {
        match self {
            Self::Task(task) => f(task),
            Self::List(list) => list.visit(f),
            Self::Refused(_) => {}
        }
    }
}
