//! Lists of tasks, and lists inside lists.

use super::TaskInfo;

/// Tasks that belong together, with the rules by which they run.
pub(crate) struct TaskList<T> {
    pub(crate) items: Vec<Item<T>>,
    pub(crate) concurrent: bool,
    pub(crate) continue_on_error: bool,
}

/// One entry of a list: a task, or a list that keeps its own rules inside the other.
pub(crate) enum Item<T> {
    Task(T),
    List(TaskList<T>),
    /// The gap left by a task that was refused. It stops the list as a failure would.
    Refused(TaskInfo),
}

impl<T> Default for TaskList<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            concurrent: false,
            continue_on_error: false,
        }
    }
}

impl<T> TaskList<T> {
    pub(crate) fn concurrent() -> Self {
        Self {
            concurrent: true,
            ..Self::default()
        }
    }

    /// Puts back a list that was taken from here, in front of the items that were added meanwhile.
    pub(crate) fn put_back(&mut self, list: Self) {
        let came_meanwhile = std::mem::replace(self, list);
        self.items.extend(came_meanwhile.items);
        self.continue_on_error |= came_meanwhile.continue_on_error;
    }

    /// Adds an item. Most lists have no more than one, so the first allocates space for one alone.
    pub(crate) fn push(&mut self, item: Item<T>) {
        if self.items.is_empty() {
            self.items.reserve_exact(1);
        }
        self.items.push(item);
    }

    /// Adds an item. A sequential list with the same rules is replaced by its items, which run in the
    /// same way.
    pub(crate) fn push_flat(&mut self, item: Item<T>) {
        let rules = |list: &Self| (list.concurrent, list.continue_on_error);
        match item {
            Item::List(list) if rules(&list) == rules(self) && !list.concurrent => {
                if self.items.is_empty() {
                    self.items = list.items;
                } else {
                    self.items.extend(list.items);
                }
            }
            item => self.push(item),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.iter().all(Item::is_empty)
    }

    pub(crate) fn filter_map<U>(self, f: &mut impl FnMut(T) -> Option<Item<U>>) -> TaskList<U> {
        let items = self
            .items
            .into_iter()
            .filter_map(|item| item.filter_map(f))
            .collect();
        TaskList {
            items,
            concurrent: self.concurrent,
            continue_on_error: self.continue_on_error,
        }
    }

    pub(crate) fn for_each(self, f: &mut impl FnMut(T)) {
        for item in self.items {
            item.for_each(f);
        }
    }

    /// Calls `f` with every task, in order.
    pub(crate) fn visit(&self, f: &mut impl FnMut(&T)) {
        for item in &self.items {
            item.visit(f);
        }
    }

    pub(crate) fn for_each_mut(&mut self, f: &mut impl FnMut(&mut T)) {
        for item in &mut self.items {
            match item {
                Item::Task(task) => f(task),
                Item::List(list) => list.for_each_mut(f),
                Item::Refused(_) => {}
            }
        }
    }
}

impl<T> Item<T> {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Task(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Refused(_) => true,
        }
    }

    pub(crate) fn filter_map<U>(self, f: &mut impl FnMut(T) -> Option<Item<U>>) -> Option<Item<U>> {
        match self {
            Self::Task(task) => f(task),
            Self::List(list) => Some(Item::List(list.filter_map(f))),
            Self::Refused(task) => Some(Item::Refused(task)),
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
