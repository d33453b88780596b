pub fn ping(host: &mut String, times: u8) {}
#[derive(::core::clone::Clone, ::core::cmp::PartialEq)]
#[allow(missing_docs, dead_code)]
pub struct Ping;
#[allow(missing_docs, dead_code)]
impl Ping {
    pub fn new(_: impl ::core::marker::Sized) -> Self {
        Self
    }
    pub fn times(self, _: impl ::core::marker::Sized) -> Self {
        self
    }
}
const _: () = {
    impl ::bg_runtime::Task for Ping {
        const DEF: &'static ::bg_runtime::TaskDef = &::bg_runtime::TaskDef::new("");
        fn run(
            self,
            _: ::bg_runtime::TaskContext,
        ) -> impl ::core::future::Future<
            Output = ::bg_runtime::TaskResult,
        > + ::core::marker::Send {
            async { ::core::result::Result::Ok(()) }
        }
    }
    ::bg_runtime::__private::response_part! {
        Ping
    }
};
::core::compile_error! {
    "a task runs when its caller is gone, and a change of this would be lost\ntake it by value"
}
