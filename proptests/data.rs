//! What holds of the data layer whatever the sizes, seeds and threads.

use std::sync::Arc;

use proptest::prelude::*;
use sam2unet::data::{
    BatchRequest, BatchTruth, Dataset, Example, Filter, Flips, Grey, Loader, Pixels, Rgb, Synthetic, epoch_order,
    flips, normalise, saved_mask,
};

fn picture<const C: usize>(largest: usize) -> impl Strategy<Value = Pixels<C>> {
    (1..=largest, 1..=largest).prop_flat_map(|(width, height)| {
        proptest::collection::vec(any::<u8>(), width * height * C).prop_map(move |data| Pixels { width, height, data })
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![Just(Filter::Bilinear), Just(Filter::Bicubic)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_constant_picture_stays_constant(
        colour in any::<[u8; 3]>(),
        from in (1..60usize, 1..60usize),
        to in (1..90usize, 1..90usize),
        filter in filter(),
    ) {
        let resized = Rgb::filled(from.0, from.1, colour).resize(to.0, to.1, filter);
        prop_assert_eq!(resized, Rgb::filled(to.0, to.1, colour));
    }

    #[test]
    fn the_same_size_is_the_same_picture(picture in picture::<3>(30), filter in filter()) {
        prop_assert_eq!(picture.resize(picture.width, picture.height, filter), picture);
    }

    #[test]
    fn channels_are_resized_each_by_itself(
        picture in picture::<3>(24), to in (1..40usize, 1..40usize), filter in filter(),
    ) {
        let resized = picture.resize(to.0, to.1, filter);
        for channel in 0..3 {
            let values = |p: &Rgb| p.data.iter().skip(channel).step_by(3).copied().collect();
            let plane = |p: &Rgb| Grey { width: p.width, height: p.height, data: values(p) };
            prop_assert_eq!(plane(&picture).resize(to.0, to.1, filter), plane(&resized));
        }
    }

    #[test]
    fn bilinear_resizing_stays_within_the_values_there_are(
        picture in picture::<1>(30), to in (1..50usize, 1..50usize),
    ) {
        let resized = picture.resize(to.0, to.1, Filter::Bilinear);
        prop_assert_eq!(resized.size(), to);
        let (low, high) = (picture.data.iter().min(), picture.data.iter().max());
        prop_assert!(resized.data.iter().min() >= low && resized.data.iter().max() <= high);
    }

    #[test]
    fn a_flip_undoes_itself(picture in picture::<3>(20)) {
        let mut flipped = picture.clone();
        flipped.flip_horizontal();
        prop_assert_eq!(flipped.at(0, 0), picture.at(picture.width - 1, 0));
        flipped.flip_horizontal();
        flipped.flip_vertical();
        prop_assert_eq!(flipped.at(0, 0), picture.at(0, picture.height - 1));
        flipped.flip_vertical();
        prop_assert_eq!(flipped, picture);
    }

    #[test]
    fn flips_move_image_and_mask_alike(mask in picture::<1>(40), horizontal: bool, vertical: bool) {
        // an image that shows its mask: after any flip it still does. One side, so that neither is resized
        let side = mask.width.min(mask.height);
        let mask = mask.resize(side, side, Filter::Bilinear);
        let example = Example::new(&mask.to_rgb(), &mask.clone().into(), side, Flips { horizontal, vertical });
        let BatchTruth::Masks(mask) = &example.truth else { panic!("{:?}", example.truth) };
        let seen: Vec<u8> = mask.iter().map(|v| (v * 255.0).round() as u8).collect();
        prop_assert_eq!(example.image, normalise(&Grey { width: side, height: side, data: seen }.to_rgb()));
    }

    #[test]
    fn an_order_is_a_permutation(seed: u64, epoch in 0..100u64, len in 0..300usize, shuffle: bool) {
        let mut order = epoch_order(seed, epoch, len, shuffle);
        prop_assert_eq!(&order, &epoch_order(seed, epoch, len, shuffle));
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..len));
    }

    #[test]
    fn a_saved_mask_rises_with_its_logits(
        logits in proptest::collection::vec(-12f32..12.0, 36), to in (1..40usize, 1..40usize), stretch: bool,
    ) {
        let saved = saved_mask(&logits, 6, to.0, to.1, stretch);
        prop_assert_eq!(saved.size(), to);
        if !stretch {
            let higher: Vec<f32> = logits.iter().map(|v| v + 1.0).collect();
            let higher = saved_mask(&higher, 6, to.0, to.1, false);
            prop_assert_eq!(higher.size(), to);
            prop_assert!(saved.data.iter().zip(&higher.data).all(|(a, b)| a <= b));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_loader_gives_what_direct_loading_gives(
        seed: u64, epoch in 0..9u64, threads in 0..6usize, size in 1..5usize, len in 1..12usize,
    ) {
        let side = 64;
        let set = Arc::new(Synthetic::new(seed, len, 40));
        let order = epoch_order(seed, epoch, len, true);
        let requests: Vec<BatchRequest> = order
            .chunks(size)
            .map(|part| BatchRequest { side, samples: part.iter().map(|&i| (i, flips(seed, epoch, i))).collect() })
            .collect();
        let mut seen = Vec::new();
        for batch in Loader::new(set.clone(), requests, threads) {
            let batch = batch.unwrap();
            let pixels = batch.indices.len() * side * side;
            let BatchTruth::Masks(masks) = &batch.truth else { panic!("{:?}", batch.truth) };
            prop_assert_eq!((batch.images.len(), masks.len()), (3 * pixels, pixels));
            let (images, masks) = (batch.images.chunks(3 * side * side), masks.chunks(side * side));
            for ((&index, image), mask) in batch.indices.iter().zip(images).zip(masks) {
                let example = set.example(index, side, flips(seed, epoch, index)).unwrap();
                prop_assert!(example.image == image && example.truth == BatchTruth::Masks(mask.to_vec()));
            }
            seen.extend(batch.indices);
        }
        prop_assert_eq!(seen, order);
    }
}
