//! Lists of tasks, and lists inside lists.
//!
//! Lists may be nested to any depth, so nothing here calls itself: what visits, filters or drops a list
//! keeps the lists that it is in on a stack of its own.

use std::mem::take;
use std::vec;

use super::TaskInfo;

/// Tasks that belong together, with the rules by which they run.
pub(crate) struct TaskList<T> {
    items: Vec<Item<T>>,
    /// The number of tasks in the list and in all lists inside it.
    tasks: u32,
    pub(crate) concurrent: bool,
    pub(crate) continue_on_error: bool,
    /// Whether a task of the list is to be taken out before it runs, because it is independent. Known to
    /// the outermost list alone.
    pub(crate) has_independent: bool,
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
            tasks: 0,
            concurrent: false,
            continue_on_error: false,
            has_independent: false,
        }
    }
}

impl<T> TaskList<T> {
    pub(crate) fn concurrent() -> Self {
        let mut list = Self::default();
        list.concurrent = true;
        list
    }

    /// Creates a list of one item.
    pub(crate) fn of(item: Item<T>) -> Self {
        let mut list = Self::default();
        list.push(item);
        list
    }

    /// For the scenarios of the model checker alone: see `interleavings`.
    #[cfg(all(test, shuttle))]
    pub(crate) fn items(&self) -> &[Item<T>] {
        &self.items
    }

    /// Creates an empty list with the rules of this one.
    fn with_same_rules<U>(&self) -> TaskList<U> {
        let mut list = TaskList::default();
        list.concurrent = self.concurrent;
        list.continue_on_error = self.continue_on_error;
        list.has_independent = self.has_independent;
        list
    }

    /// Puts back a list that was taken from here, in front of the items that were added meanwhile.
    pub(crate) fn put_back(&mut self, list: Self) {
        let came_meanwhile = std::mem::replace(self, list);
        self.continue_on_error |= came_meanwhile.continue_on_error;
        self.append(came_meanwhile);
    }

    /// Adds an item. Most lists have no more than one, so the first allocates space for one alone.
    pub(crate) fn push(&mut self, item: Item<T>) {
        if self.items.is_empty() {
            self.items.reserve_exact(1);
        }
        self.tasks = self.tasks.saturating_add(item.tasks());
        self.items.push(item);
    }

    /// Adds an item. A sequential list with the same rules is replaced by its items, which run in the
    /// same way.
    pub(crate) fn push_flat(&mut self, item: Item<T>) {
        let rules = |list: &Self| (list.concurrent, list.continue_on_error);
        match item {
            Item::List(list) if rules(&list) == rules(self) && !list.concurrent => {
                self.append(list);
            }
            item => self.push(item),
        }
    }

    /// Adds the items of another list.
    pub(crate) fn append(&mut self, mut list: Self) {
        self.tasks = self.tasks.saturating_add(list.tasks);
        self.has_independent |= list.has_independent;
        if self.items.is_empty() {
            self.items = take(&mut list.items);
        } else {
            self.items.append(&mut list.items);
        }
    }

    /// Returns the number of tasks in the list and in all lists inside it.
    pub(crate) fn len(&self) -> usize {
        self.tasks as usize
    }

    /// Returns the same as [`len`](Self::len), as the numbers of tasks are kept.
    pub(crate) fn tasks(&self) -> u32 {
        self.tasks
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks == 0
    }

    pub(crate) fn into_items(mut self) -> vec::IntoIter<Item<T>> {
        self.tasks = 0;
        take(&mut self.items).into_iter()
    }

    /// Calls `f` with every task, in order, and keeps what it returns in the task's place.
    pub(crate) fn filter_map<U>(self, f: &mut impl FnMut(T) -> Option<Item<U>>) -> TaskList<U> {
        let (mut kept, mut rest) = (self.with_same_rules(), self.into_items());
        kept.items.reserve_exact(rest.len());
        let mut outer = Vec::new();
        loop {
            match rest.next() {
                Some(Item::Task(task)) => f(task).into_iter().for_each(|item| kept.push(item)),
                Some(Item::Refused(task)) => kept.push(Item::Refused(task)),
                Some(Item::List(list)) => {
                    let inner = list.with_same_rules();
                    outer.push((
                        std::mem::replace(&mut kept, inner),
                        std::mem::replace(&mut rest, list.into_items()),
                    ));
                    kept.items.reserve_exact(rest.len());
                }
                None => {
                    let Some((list, after)) = outer.pop() else {
                        return kept;
                    };
                    let inner = std::mem::replace(&mut kept, list);
                    kept.push(Item::List(inner));
                    rest = after;
                }
            }
        }
    }

    pub(crate) fn for_each(self, f: &mut impl FnMut(T)) {
        for_each(self.into_items(), f);
    }

    /// Calls `f` with every task, in order.
    pub(crate) fn visit(&self, f: &mut impl FnMut(&T)) {
        visit(&self.items, f);
    }

    pub(crate) fn for_each_mut(&mut self, f: &mut impl FnMut(&mut T)) {
        let (mut rest, mut outer) = (self.items.iter_mut(), Vec::new());
        loop {
            match rest.next() {
                Some(Item::Task(task)) => f(task),
                Some(Item::Refused(_)) => {}
                Some(Item::List(list)) => {
                    outer.push(std::mem::replace(&mut rest, list.items.iter_mut()));
                }
                None => match outer.pop() {
                    Some(after) => rest = after,
                    None => return,
                },
            }
        }
    }
}

/// Calls `f` with every task of these items, in order.
pub(crate) fn for_each<T>(items: vec::IntoIter<Item<T>>, f: &mut impl FnMut(T)) {
    let (mut rest, mut outer) = (items, Vec::new());
    loop {
        match rest.next() {
            Some(Item::Task(task)) => f(task),
            Some(Item::Refused(_)) => {}
            Some(Item::List(list)) => {
                outer.push(std::mem::replace(&mut rest, list.into_items()));
            }
            None => match outer.pop() {
                Some(after) => rest = after,
                None => return,
            },
        }
    }
}

/// Calls `f` with every task of these items, in order.
pub(crate) fn visit<T>(items: &[Item<T>], f: &mut impl FnMut(&T)) {
    let (mut rest, mut outer) = (items.iter(), Vec::new());
    loop {
        match rest.next() {
            Some(Item::Task(task)) => f(task),
            Some(Item::Refused(_)) => {}
            Some(Item::List(list)) => outer.push(std::mem::replace(&mut rest, list.items.iter())),
            None => match outer.pop() {
                Some(after) => rest = after,
                None => return,
            },
        }
    }
}

/// Drops the lists inside this one in a loop: the compiler's own way would call itself for each.
impl<T> Drop for TaskList<T> {
    fn drop(&mut self) {
        if self.items.iter().any(|item| matches!(item, Item::List(_))) {
            for_each(take(&mut self.items).into_iter(), &mut drop);
        }
    }
}

impl<T> Item<T> {
    pub(crate) fn tasks(&self) -> u32 {
        match self {
            Self::Task(_) => 1,
            Self::List(list) => list.tasks,
            Self::Refused(_) => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks() == 0
    }

    pub(crate) fn filter_map<U>(self, f: &mut impl FnMut(T) -> Option<Item<U>>) -> Option<Item<U>> {
        match self {
            Self::Task(task) => f(task),
            Self::List(list) => Some(Item::List(list.filter_map(f))),
            Self::Refused(task) => Some(Item::Refused(task)),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    const DEPTH: usize = 100_000;

    /// Lists of two items: a task, and the next list.
    fn deep() -> TaskList<usize> {
        let mut list = TaskList::default();
        for number in (0..DEPTH).rev() {
            let inner = take(&mut list);
            list.push(Item::Task(number));
            list.push(Item::List(inner));
            list.continue_on_error = true;
        }
        list
    }

    #[test]
    fn a_list_of_any_depth_is_counted_visited_filtered_and_dropped() {
        let mut list = deep();
        assert_eq!(list.len(), DEPTH);
        let mut next = 0;
        list.visit(&mut |number| {
            assert_eq!(*number, next);
            next += 1;
        });
        list.for_each_mut(&mut |number| *number += 1);
        let list = list.filter_map(&mut |number| (number % 2 == 0).then_some(Item::Task(number)));
        assert!(list.continue_on_error);
        let mut evens = Vec::new();
        list.for_each(&mut |number| evens.push(number));
        assert_eq!(evens, (2..=DEPTH).step_by(2).collect::<Vec<_>>());
        drop(deep());
        drop(Item::List(deep()));
    }

    #[test]
    fn tasks_of_inner_lists_are_dropped_in_order() {
        struct Noted<'a>(u32, &'a std::cell::RefCell<Vec<u32>>);
        impl Drop for Noted<'_> {
            fn drop(&mut self) {
                self.1.borrow_mut().push(self.0);
            }
        }
        let order = std::cell::RefCell::default();
        let mut list = TaskList::of(Item::Task(Noted(1, &order)));
        list.push(Item::List(TaskList::of(Item::Task(Noted(2, &order)))));
        list.push(Item::Task(Noted(3, &order)));
        drop(list);
        assert_eq!(*order.borrow(), [1, 2, 3]);
    }

    #[test]
    fn a_list_is_no_larger_than_its_vector_and_a_word() {
        assert_eq!(
            size_of::<TaskList<u8>>(),
            size_of::<Vec<u8>>() + size_of::<u64>()
        );
    }
}
