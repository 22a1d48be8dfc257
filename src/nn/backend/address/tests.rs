use super::*;

#[test]
fn the_address_of_a_cuda_tensor_is_read_from_the_debug_of_the_pinned_versions_only() {
    let good = "Tensor { id: UniqueId(7), data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: 140234, len: 12, \
                device: CudaDevice { cu_device: 0";
    assert_eq!(parse(good), Some((140_234, 12)));
    let spoilt = [
        ("Tensor {", "Array {"),
        ("UniqueId(7)", "UniqueId(seven)"),
        ("CachableCudaSlice", "Storage"),
        ("cu_device_ptr", "ptr"),
        ("140234", "0x140234"),
        ("len: 12", "len: 12.0"),
        ("len: 12, ", "len: 12, offset: 4, "),
        (", device: CudaDevice { cu_device: 0", ""),
    ];
    for (part, other) in spoilt {
        assert!(good.contains(part));
        assert_eq!(parse(&good.replace(part, other)), None, "{other}");
    }
}

#[test]
fn a_cuda_tensor_of_another_crate_says_what_it_found() {
    #[derive(Debug)]
    struct Other {
        _data: Vec<u8>,
    }
    let error = read(&Other { _data: vec![1; 1000] }).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("was not written for") && text.contains("Other { _data: [1, 1"), "{text}");
    assert!(text.len() < 400, "{text}");
}

#[test]
fn the_longest_numbers_of_a_cuda_tensor_fit() {
    #[derive(Debug)]
    #[allow(dead_code)]
    struct Tensor {
        id: UniqueId,
        data: CachableCudaSlice,
    }
    #[derive(Debug)]
    #[allow(dead_code)]
    struct UniqueId(usize);
    #[derive(Debug)]
    #[allow(dead_code)]
    struct CachableCudaSlice {
        data: CudaSlice,
    }
    #[derive(Debug)]
    #[allow(dead_code)]
    struct CudaSlice {
        cu_device_ptr: u64,
        len: usize,
        device: CudaDevice,
    }
    #[derive(Debug)]
    #[allow(dead_code)]
    struct CudaDevice {
        name: &'static str,
    }
    let (cu_device_ptr, len, device) = (u64::MAX, usize::MAX, CudaDevice { name: "of no importance" });
    let data = CachableCudaSlice { data: CudaSlice { cu_device_ptr, len, device } };
    assert_eq!(read(&Tensor { id: UniqueId(usize::MAX), data }), Ok((u64::MAX, usize::MAX)));
}
