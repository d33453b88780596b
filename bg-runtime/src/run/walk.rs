//! The way through a list: which task is next, and what a failure keeps from running.
//!
//! Lists may be nested to any depth. So the lists around the current one are on a stack, and not on that
//! of the thread, and what is behind them is known by numbers until something fails: the tasks of a list
//! have ascending numbers, those of inner lists among them.

use std::vec;

use super::AcceptedTask;
use crate::task::{
    AbortReason, Item, KeptBack, Row, SkipReason, Skipped, TaskList, for_each, visit,
};

/// The end of a list that did not succeed, which decides what becomes of the tasks behind it.
#[derive(Clone, Copy)]
pub(super) enum ListEnd {
    /// With the name of the task, as in the next.
    Failed(&'static str),
    Refused(&'static str),
    Aborted(AbortReason),
    AbortedByHandle(&'static str),
}

/// A walk through a list, and through those inside it that run in order.
pub(super) struct Walk {
    /// The number of the task that comes next.
    position: u32,
    current: Frame,
    /// Rare, so boxed.
    nested: Option<Box<Nested>>,
}

/// A list that is being run.
struct Frame {
    items: vec::IntoIter<Item<AcceptedTask>>,
    /// The number after that of its last task.
    end: u32,
    stop_on_error: bool,
    /// How the first of its items ended that did not succeed.
    failed: Option<ListEnd>,
    /// What is behind the list, and does not run if it fails.
    behind: KeptBack,
}

#[derive(Default)]
struct Nested {
    /// The lists around the current one, from the outermost.
    outer: Vec<Frame>,
    /// Made when it is needed first: with a failure, or for a concurrent list with something behind it.
    row: Option<Row>,
}

/// What a walk comes to.
pub(super) enum Next {
    Task(AcceptedTask),
    /// Rare, so boxed.
    Concurrent(Box<Members>),
    End(Result<(), ListEnd>),
}

/// The items of a concurrent list, each with the number of its first task. The items of a concurrent
/// list inside it are among them, which run in the same way.
pub(super) struct Members {
    items: vec::IntoIter<Item<AcceptedTask>>,
    outer: Vec<vec::IntoIter<Item<AcceptedTask>>>,
    /// The number of the next member's first task.
    position: u32,
    around: Around,
}

/// What each member of a concurrent list has to know of the lists around it.
#[derive(Clone, Default)]
pub(super) struct Around {
    behind: KeptBack,
    /// There is one if anything is behind.
    row: Option<Row>,
}

impl Walk {
    pub(super) fn new(list: TaskList<AcceptedTask>) -> Self {
        Self::inside(list, 0, Around::default())
    }

    /// Creates a walk through a member of a concurrent list.
    pub(super) fn inside(list: TaskList<AcceptedTask>, position: u32, around: Around) -> Self {
        let Around { behind, row } = around;
        // A concurrent list is walked as the only item of another.
        let list = if list.concurrent {
            TaskList::of(Item::List(list))
        } else {
            list
        };
        let nested = row.map(|row| {
            Box::new(Nested {
                outer: Vec::new(),
                row: Some(row),
            })
        });
        Self {
            position,
            current: Frame::new(list, position, behind),
            nested,
        }
    }

    pub(super) fn next(&mut self) -> Next {
        loop {
            match self.current.items.next() {
                Some(Item::Task(task)) => {
                    self.position += 1;
                    return Next::Task(task);
                }
                Some(Item::List(list)) if list.concurrent => {
                    return Next::Concurrent(self.members(list));
                }
                Some(Item::List(list)) => self.enter(list),
                Some(Item::Refused(task)) => self.fail(ListEnd::Refused(task.name())),
                None => {
                    let ended = self.current.failed;
                    let outer = self.nested.as_mut().and_then(|nested| nested.outer.pop());
                    let Some(outer) = outer else {
                        return Next::End(ended.map_or(Ok(()), Err));
                    };
                    self.current = outer;
                    if let Some(end) = ended {
                        self.fail(end);
                    }
                }
            }
        }
    }

    /// Notes that the item before the position did not succeed. If the list stops at failures, settles
    /// the tasks behind it in the list.
    pub(super) fn fail(&mut self, end: ListEnd) {
        let Frame {
            items,
            failed,
            stop_on_error,
            ..
        } = &mut self.current;
        failed.get_or_insert(end);
        if *stop_on_error {
            for_each(std::mem::take(items), &mut |task| end.keep_back(task));
            self.position = self.current.end;
        }
    }

    /// Returns what a failure of the item before the position keeps from running.
    pub(super) fn skipped(&mut self) -> Skipped {
        let kept_back = self.current.kept_back_from(self.position);
        if kept_back.is_empty() {
            return Skipped::default();
        }
        Skipped::new(self.row(None), kept_back)
    }

    fn enter(&mut self, list: TaskList<AcceptedTask>) {
        let behind = self.current.kept_back_from(self.position + list.tasks());
        let inner = Frame::new(list, self.position, behind);
        let outer = std::mem::replace(&mut self.current, inner);
        self.nested.get_or_insert_default().outer.push(outer);
    }

    fn members(&mut self, list: TaskList<AcceptedTask>) -> Box<Members> {
        let position = self.position;
        let behind = self.current.kept_back_from(position + list.tasks());
        let row = if behind.is_empty() {
            self.nested.as_ref().and_then(|nested| nested.row.clone())
        } else {
            Some(self.row(Some(&list)))
        };
        self.position += list.tasks();
        Box::new(Members {
            items: list.into_items(),
            outer: Vec::new(),
            position,
            around: Around { behind, row },
        })
    }

    /// Returns the row, made of `list`, which begins at the position, and of all that is behind it, unless
    /// there is one.
    fn row(&mut self, list: Option<&TaskList<AcceptedTask>>) -> Row {
        let nested = self.nested.get_or_insert_default();
        let (current, outer) = (&self.current, &nested.outer);
        let row = nested.row.get_or_insert_with(|| {
            let mut tasks = Vec::new();
            let mut add = |accepted: &AcceptedTask| tasks.push(accepted.task.info());
            if let Some(list) = list {
                list.visit(&mut add);
            }
            for frame in std::iter::once(current).chain(outer.iter().rev()) {
                visit(frame.items.as_slice(), &mut add);
            }
            Row::new(self.position, tasks)
        });
        row.clone()
    }
}

impl Frame {
    fn new(list: TaskList<AcceptedTask>, position: u32, behind: KeptBack) -> Self {
        Self {
            end: position + list.tasks(),
            stop_on_error: !list.continue_on_error,
            items: list.into_items(),
            failed: None,
            behind,
        }
    }

    /// Returns what does not run if an item fails that ends before `position`.
    fn kept_back_from(&self, position: u32) -> KeptBack {
        if self.stop_on_error {
            self.behind.after(position..self.end)
        } else {
            self.behind.clone()
        }
    }
}

impl Members {
    pub(super) fn around(&self) -> Around {
        self.around.clone()
    }
}

impl Iterator for Members {
    type Item = (u32, Item<AcceptedTask>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.items.next() {
                Some(Item::List(list)) if list.concurrent => {
                    let outer = std::mem::replace(&mut self.items, list.into_items());
                    self.outer.push(outer);
                }
                Some(item) => {
                    let position = self.position;
                    self.position += item.tasks();
                    return Some((position, item));
                }
                None => self.items = self.outer.pop()?,
            }
        }
    }
}

impl Around {
    /// Returns what a failure of a task that is a member keeps from running.
    pub(super) fn skipped(&self) -> Skipped {
        match &self.row {
            Some(row) => Skipped::new(row.clone(), self.behind.clone()),
            None => Skipped::default(),
        }
    }
}

impl ListEnd {
    /// Settles a task behind the list, which does not run.
    fn keep_back(self, task: AcceptedTask) {
        match self {
            Self::Failed(failed) => task.skip(SkipReason::EarlierFailure { failed }),
            Self::Refused(refused) => task.skip(SkipReason::EarlierRefusal { refused }),
            Self::Aborted(reason) => task.abort(reason),
            Self::AbortedByHandle(aborted) => task.skip(SkipReason::EarlierAbort { aborted }),
        }
    }
}
