use super::super::address::{check_reading, documented_copy};
use super::super::open::tested_gpu;
use super::*;

/// What lies at a view's address.
fn contents(cuda: &Cuda, view: &Buffer) -> Vec<f32> {
    let mut numbers = vec![0.0; view.len()];
    address::device(cuda).unwrap().bind_to_thread().unwrap();
    // SAFETY: the driver refuses an address that is none of the device's.
    unsafe { result::memcpy_dtoh_sync(&mut numbers, view.address()) }.unwrap();
    numbers
}

#[test]
fn addresses_lead_where_the_documented_functions_copy_from() {
    let Some(cuda) = tested_gpu() else {
        return;
    };
    check_reading(&cuda).unwrap().unwrap();
    fn check<S: ConstShape>(cuda: &Cuda) {
        let values: Vec<f32> = (0..S::NUMEL).map(|i| i as f32 * 0.37 - 11.0).collect();
        let mut tensor: Tensor<S, f32, Cuda> = cuda.tensor_from_vec(values.clone(), S::default());
        assert_eq!(contents(cuda, &cuda.view(&tensor)), values);
        assert_eq!(documented_copy(cuda, &mut tensor).unwrap(), values);
        assert_eq!(contents(cuda, &cuda.view(&tensor)), values, "still there, wherever the copy moved it");
    }
    check::<()>(&cuda);
    check::<Rank1<1>>(&cuda);
    check::<Rank1<1000>>(&cuda);
    check::<Rank4<2, 3, 5, 7>>(&cuda);
    // a buffer of which the address may be asked
    let mut buffer = <Cuda as Storage<f32>>::try_alloc_len(&cuda, 3).unwrap();
    assert_eq!(Cuda::out(&mut buffer).address(), *buffer.device_ptr());
}

#[test]
fn a_view_keeps_its_numbers() {
    let Some(cuda) = tested_gpu() else {
        return;
    };
    let mut tensor: Tensor<Rank1<3>, f32, Cuda> = cuda.tensor([1.0, 2.0, 3.0]);
    let view = cuda.view(&tensor);
    tensor.copy_from(&[4.0, 5.0, 6.0]);
    assert_eq!(contents(&cuda, &view), [1.0, 2.0, 3.0], "a tensor that changes leaves its views alone");
    assert_eq!(contents(&cuda, &cuda.view(&tensor)), [4.0, 5.0, 6.0]);
    drop(tensor);
    assert_eq!(contents(&cuda, &view), [1.0, 2.0, 3.0], "a tensor's end, too");
}

#[test]
fn a_renewed_tensor_leaves_its_copies_alone() {
    let Some(cuda) = tested_gpu() else {
        return;
    };
    let mut tensor: Tensor<Rank1<3>, f32, Cuda> = cuda.tensor([1.0, f32::INFINITY, -0.0]);
    let (copy, view) = (tensor.clone(), cuda.view(&tensor));
    for shared in [true, false] {
        let before = cuda.read(&tensor).unwrap();
        cuda.renew(&mut tensor, |old, _| {
            assert_eq!(contents(&cuda, old), before);
            Ok(())
        })
        .unwrap();
        assert_eq!(cuda.read(&tensor).unwrap(), [0.0; 3], "shared: {shared}");
    }
    let first = contents(&cuda, &view);
    assert!(first == cuda.read(&copy).unwrap() && first == [1.0, f32::INFINITY, -0.0]);
}

#[test]
fn buffers_come_back_and_are_counted() {
    let Some(cuda) = tested_gpu() else {
        return;
    };
    let numbers: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
    let buffer = cuda.store(&numbers).unwrap();
    assert_eq!(cuda.fetch(&buffer).unwrap(), numbers);
    assert!(cuda.peak_bytes().unwrap() >= 400_000);
}

#[test]
fn frozen_weights_come_back() {
    let Some(cuda) = tested_gpu() else {
        return;
    };
    let values: Vec<f32> = (0..35).map(|i| 1.0 / i as f32).collect();
    let rounded: Vec<f32> = values.iter().map(|v| bf16::from_f32(*v).to_f32()).collect();
    for (precision, shape, bytes, held) in [
        (Precision::F32, &[5, 7][..], 4, &values),
        (Precision::Tf32, &[5, 7], 4, &values),
        (Precision::Bf16, &[5, 7], 2, &rounded),
        (Precision::Bf16, &[35], 4, &values),
    ] {
        if !cuda.offers(precision) {
            continue;
        }
        let frozen = cuda.freeze(values.clone(), shape, precision).unwrap();
        assert_eq!(frozen.len(), 35);
        let found = match &*frozen {
            Operand::F32(slice) | Operand::Tf32(slice) => slice.num_bytes(),
            Operand::Bf16(slice) => slice.num_bytes(),
        };
        assert_eq!(found, bytes * 35, "{precision:?}");
        assert!(frozen.precision() == if shape.len() == 2 { precision } else { Precision::F32 });
        assert_eq!(cuda.thaw(&frozen).unwrap(), *held);
    }
}
