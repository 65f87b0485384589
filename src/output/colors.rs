//! The colours of a flame graph: one for each kind of frame, a little lighter or darker for each name.
//!
//! Does: choose colours that black text reads well on and that stay apart for colour-blind readers (begun with
//! the palette of Okabe and Ito, "Color Universal Design", 2002; the tests hold the distances). Does not: draw.

use crate::profile::frame::FrameKind;

/// A colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
}

/// How much lighter or darker a name can be than its kind, in each channel.
const VARIATION: i16 = 10;

/// The colour of a kind, as in the legend.
pub fn kind_color(kind: FrameKind) -> Rgb {
    let (r, g, b) = match kind {
        FrameKind::UserCode => (250, 161, 1),
        FrameKind::StandardLibrary => (123, 156, 255),
        FrameKind::InstalledPackage => (17, 188, 105),
        FrameKind::NativeExtension => (204, 151, 210),
        FrameKind::Interpreter => (189, 189, 189),
        FrameKind::System => (130, 130, 138),
        FrameKind::Jit => (238, 220, 112),
        FrameKind::Process | FrameKind::Thread => (250, 250, 246),
        FrameKind::RunState => (184, 248, 176),
        FrameKind::Gap => (221, 90, 54),
    };
    Rgb { r, g, b }
}

/// The colour of a frame: its kind's, varied by its name, the same in every run.
pub fn frame_color(kind: FrameKind, name: &str) -> Rgb {
    let shift = (fnv1a(name) % (2 * VARIATION as u64 + 1)) as i16 - VARIATION;
    let vary = |channel: u8| (i16::from(channel) + shift).clamp(0, 255) as u8;
    let Rgb { r, g, b } = kind_color(kind);
    Rgb { r: vary(r), g: vary(g), b: vary(b) }
}

/// FNV-1a with 64 bits (draft-eastlake-fnv): a fixed hash, unlike the standard library's.
fn fnv1a(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    // The low bits of the last byte decide too much alone: fold the high half in.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(channel: u8) -> f64 {
        let c = f64::from(channel) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    }

    fn linear_rgb(color: Rgb) -> [f64; 3] {
        [linear(color.r), linear(color.g), linear(color.b)]
    }

    fn product(matrix: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(m, x)| m * x).sum::<f64>())
    }

    /// CIE L*a*b* of a linear sRGB colour, white point D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let xyz = product(
            [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
            rgb.map(|c| c.clamp(0.0, 1.0)),
        );
        let f = |t: f64| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let [x, y, z] = [f(xyz[0] / 0.9505), f(xyz[1]), f(xyz[2] / 1.089)];
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency"
    /// (2009), severity 1.0.
    const VISIONS: [(&str, [[f64; 3]; 3]); 4] = [
        ("normal", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        (
            "protanopia",
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        ),
        (
            "deuteranopia",
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        ),
        (
            "tritanopia",
            [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        ),
    ];

    #[test]
    fn kinds_stay_apart_in_every_colour_vision() {
        let coloured: Vec<_> = FrameKind::ALL.into_iter().filter(|kind| *kind != FrameKind::Process).collect();
        for (vision, matrix) in VISIONS {
            let seen = |kind: FrameKind| lab(product(matrix, linear_rgb(kind_color(kind))));
            for (index, a) in coloured.iter().enumerate() {
                for b in coloured.iter().skip(index + 1) {
                    let distance = seen(*a).iter().zip(seen(*b)).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
                    // 2.3 is just noticeable (CIE 1976); two names of one kind are some 8 apart.
                    assert!(distance > 20.0, "{vision}: {a} and {b} are {distance:.1} apart");
                }
            }
        }
    }

    #[test]
    fn black_text_reads_on_every_colour() {
        for kind in FrameKind::ALL {
            let [r, g, b] = linear_rgb(kind_color(kind));
            let contrast = (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05) / 0.05;
            // WCAG 2.2, level AA.
            assert!(contrast > 4.5, "{kind}: {contrast:.1}");
        }
    }

    #[test]
    fn a_name_has_one_colour_near_its_kinds() {
        let colors: std::collections::HashSet<_> = (0..100)
            .map(|n| {
                let color = frame_color(FrameKind::UserCode, &format!("function_{n}"));
                assert_eq!(color, frame_color(FrameKind::UserCode, &format!("function_{n}")));
                assert!(color.r.abs_diff(kind_color(FrameKind::UserCode).r) <= VARIATION as u8);
                (color.r, color.g, color.b)
            })
            .collect();
        assert!(colors.len() > 10, "{} shades", colors.len());
    }
}
