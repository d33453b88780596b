#[background_task]
#[cfg(unix)]
#[deprecated]
#[cfg_attr(docsrs, doc(cfg(unix)), inline)]
pub(crate) fn resize_image(
    path: &Path,
    sizes: &[u32],
    mode: &Mode,
    label: &'static str,
    #[state] pool: &Pool,
) {
    pool.resize(path, sizes, mode, label);
}
