use super::super::address::{check_reading, documented_copy};
use super::super::open_cuda::tested_gpu;
use super::*;
use cudarc::driver::DevicePtr;

/// What lies at a view's address.
fn contents(cuda: &Cuda, view: &Buffer) -> Vec<f32> {
    let mut numbers = vec![0.0; view.len()];
    cuda.kernels().unwrap().peek(view.address(), &mut numbers).unwrap();
    numbers
}

#[test]
fn addresses_lead_where_the_documented_functions_copy_from() {
    let Some(cuda) = tested_gpu() else {
        return;
    };
    check_reading(&cuda, &cuda.kernels().unwrap()).unwrap().unwrap();
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
    assert_eq!(Cuda::slice_mut(&mut buffer).address(), *buffer.device_ptr());
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
        cuda.renew(&mut tensor, |_, old, _| {
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
fn storages_and_buffers_come_back() {
    let Some(cuda) = tested_gpu() else {
        return;
    };
    let numbers: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
    let mut storage = cuda.store(&numbers).unwrap();
    assert_eq!(cuda.fetch(&storage).unwrap(), numbers);
    let taken = cuda.take(&mut storage).unwrap();
    assert!(contents(&cuda, &taken) == numbers && cuda.fetch(&storage).unwrap().is_empty());
    let tensor = cuda.tensor_of(taken, (numbers.len(),)).unwrap();
    assert_eq!(cuda.read(&tensor).unwrap(), numbers);
    let tensor = cuda.upload(&numbers, (numbers.len(),)).unwrap();
    assert_eq!(cuda.read(&tensor).unwrap(), numbers);
}
