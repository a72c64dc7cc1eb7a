//! Compiled pipelines kept in a file, where the device offers that: a second process starts warm.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::Path,
};

use crate::gpu::Gpu;

/// What a file of this crate starts with, before a checksum and the driver's own data.
const MAGIC: &[u8; 16] = b"wgpu-attention 1";

impl Gpu {
    /// Takes compiled pipelines from `file`, if it is there, whole, and of this driver; [`save_pipelines`](Self::save_pipelines)
    /// writes it. Without a device that offers this (Vulkan, mostly), nothing changes. To be called before the first plan.
    ///
    /// The file is trusted: a driver may run what it is given, and the checksum finds accidents, not attackers. Keep it where nobody else
    /// can write.
    #[must_use]
    pub fn with_pipelines(self, file: &Path) -> Self {
        let kept = std::fs::read(file).ok().and_then(|bytes| unpacked(&bytes).map(<[u8]>::to_vec));
        match pipeline_cache(&self.device, kept.as_deref()) {
            Some(cache) => {
                let attention = self.attention.with_pipeline_cache(&cache);
                Self { attention, pipelines: Some(cache), ..self }
            }
            None => self,
        }
    }

    /// Writes what was compiled since [`with_pipelines`](Self::with_pipelines), and what that had read, to `file`. Whether there
    /// was anything to write.
    pub fn save_pipelines(&self, file: &Path) -> io::Result<bool> {
        let Some(data) = self.pipelines.as_ref().and_then(wgpu::PipelineCache::get_data) else { return Ok(false) };
        // Written aside and renamed, so that no other process reads half of it.
        let aside = file.with_extension("part");
        std::fs::write(&aside, packed(&data))?;
        std::fs::rename(&aside, file)?;
        Ok(true)
    }
}

fn checksum(data: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish().to_le_bytes()
}

fn packed(data: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &checksum(data), data].concat()
}

/// The driver's data of a file that is whole.
fn unpacked(file: &[u8]) -> Option<&[u8]> {
    let (sum, data) = file.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    (*sum == checksum(data)).then_some(data)
}

#[expect(unsafe_code, reason = "a driver may trust the data that it is given")]
fn pipeline_cache(device: &wgpu::Device, data: Option<&[u8]>) -> Option<wgpu::PipelineCache> {
    if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
        return None;
    }
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("attention"), data, fallback: true };
    // SAFETY: the data is what a cache of this crate gave, whole by its checksum; wgpu compares its header with the adapter and
    // the driver, and starts empty where they differ.
    Some(unsafe { device.create_pipeline_cache(&descriptor) })
}

#[cfg(test)]
mod tests {
    use super::{packed, unpacked};

    #[test]
    fn only_whole_files_are_read() {
        let file = packed(b"some data");
        assert_eq!(unpacked(&file), Some(&b"some data"[..]));
        assert_eq!(unpacked(&file[..file.len() - 1]), None, "cut short");
        assert_eq!(unpacked(&[&file[..], b"x"].concat()), None, "too long");
        assert_eq!(unpacked(b"another file of at least 24 bytes"), None);
        assert_eq!(unpacked(b""), None);
        for at in 0..file.len() {
            let mut other = file.clone();
            other[at] ^= 1;
            assert_eq!(unpacked(&other), None, "byte {at} changed");
        }
    }
}
