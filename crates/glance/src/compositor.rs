//! [`Icon::pixels`]: lays the shapes of an icon over each other, for a size and a look.
use tiny_skia::{
    BlendMode, Color, FillRule, LineJoin, Paint, Path, Pixmap, Shader, Stroke, Transform,
};

use crate::Icon;
use crate::glyph::{Layer, scale};

/// Widths on the grid: the gap that sets a shape off, and the rim of high contrast.
const GAP: f32 = 1.6;
const RIM: f32 = 2.0;

/// For which surroundings an icon is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// In colours that are seen on light and dark panels.
    Colour,
    /// Light, for a dark panel.
    OnDark,
    /// Dark, for a light panel.
    OnLight,
    /// White with a black rim: seen on everything.
    HighContrast,
    /// Only alpha means something; the system gives the colour (template image of macOS).
    Template,
}

impl Look {
    /// Every look.
    pub const ALL: [Self; 5] = [
        Self::Colour,
        Self::OnDark,
        Self::OnLight,
        Self::HighContrast,
        Self::Template,
    ];

    fn colour(self, layer: Layer) -> Color {
        let rgb = |r, g, b| Color::from_rgba8(r, g, b, 255);
        match self {
            Look::Colour => match layer {
                Layer::Kiln => rgb(0xd2, 0x69, 0x3c),
                Layer::Fire => rgb(0xff, 0xb0, 0x20),
                Layer::Arrow => rgb(0x3d, 0x9b, 0xe9),
                Layer::Bars | Layer::Slash => rgb(0x8a, 0x94, 0xa0),
                Layer::Cross | Layer::Dot => rgb(0xe5, 0x38, 0x3b),
            },
            Look::OnDark => rgb(0xf2, 0xf2, 0xf2),
            Look::OnLight => rgb(0x2a, 0x2a, 0x2a),
            Look::HighContrast => rgb(255, 255, 255),
            Look::Template => rgb(0, 0, 0),
        }
    }

    fn rim(self) -> Option<Color> {
        match self {
            Look::HighContrast => Some(Color::BLACK),
            Look::Colour | Look::OnDark | Look::OnLight | Look::Template => None,
        }
    }
}

/// A square image: red, green, blue and alpha of each pixel, row by row from the top, colours not
/// multiplied by alpha.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pixels {
    /// Width and height.
    pub size: u16,
    /// Four bytes a pixel.
    pub rgba: Vec<u8>,
}

impl Icon {
    /// Draws the icon `size` pixels wide and high; 16 to 48 is what panels ask for, and what is
    /// smaller or larger than 8 to 512 is drawn at that limit.
    pub fn pixels(self, size: u16, look: Look) -> Pixels {
        let size = size.clamp(8, 512);
        let edge = u32::from(size);
        let blank = || vec![0; usize::from(size) * usize::from(size) * 4];
        let rgba = Pixmap::new(edge, edge).map_or_else(blank, |mut canvas| {
            for layer in self.layers() {
                draw(&mut canvas, *layer, look, scale(size));
            }
            straight(&canvas)
        });
        Pixels { size, rgba }
    }
}

/// Lays one shape over what is there.
fn draw(canvas: &mut Pixmap, layer: Layer, look: Look, to: Transform) {
    let Some(path) = layer.path() else { return };
    let rim = look.rim().map(|colour| (colour, RIM));
    let around = rim.map_or(0.0, |(_, width)| width);
    if layer.is_set_off() {
        let clear = paint(Color::BLACK, BlendMode::Clear);
        canvas.fill_path(&path, &clear, FillRule::Winding, to, None);
        outline(canvas, &path, &clear, 2.0 * GAP + around, to);
    }
    if let Some((colour, width)) = rim {
        outline(
            canvas,
            &path,
            &paint(colour, BlendMode::SourceOver),
            width,
            to,
        );
    }
    let fill = paint(look.colour(layer), BlendMode::SourceOver);
    canvas.fill_path(&path, &fill, rule(layer), to, None);
}

/// Crossing strokes stay whole; the mouth of the kiln is cut out of its wall.
fn rule(layer: Layer) -> FillRule {
    match layer {
        Layer::Kiln => FillRule::EvenOdd,
        Layer::Fire | Layer::Arrow | Layer::Bars | Layer::Cross | Layer::Dot | Layer::Slash => {
            FillRule::Winding
        }
    }
}

fn outline(canvas: &mut Pixmap, path: &Path, paint: &Paint<'_>, width: f32, to: Transform) {
    let stroke = Stroke {
        width,
        line_join: LineJoin::Round,
        ..Stroke::default()
    };
    canvas.stroke_path(path, paint, &stroke, to, None);
}

fn paint(colour: Color, blend_mode: BlendMode) -> Paint<'static> {
    Paint {
        shader: Shader::SolidColor(colour),
        blend_mode,
        anti_alias: true,
        ..Paint::default()
    }
}

/// Takes alpha out of the colours again.
fn straight(canvas: &Pixmap) -> Vec<u8> {
    let pixels = canvas.pixels().iter().map(|pixel| pixel.demultiply());
    pixels
        .flat_map(|p| [p.red(), p.green(), p.blue(), p.alpha()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns which pixels are more seen than not.
    fn shape(icon: Icon, size: u16, look: Look) -> Vec<bool> {
        let pixels = icon.pixels(size, look);
        pixels.rgba.chunks_exact(4).map(|p| p[3] > 127).collect()
    }

    #[test]
    fn no_two_states_share_a_shape_however_small_and_in_whatever_look() {
        for look in Look::ALL {
            for size in [16, 22, 24, 32, 48] {
                for (i, a) in Icon::ALL.into_iter().enumerate() {
                    for b in &Icon::ALL[i + 1..] {
                        let (a_shape, b_shape) = (shape(a, size, look), shape(*b, size, look));
                        let different = a_shape.iter().zip(&b_shape).filter(|(a, b)| a != b);
                        // At least a twentieth of the image: 13 of 256 pixels at the smallest size.
                        let enough = a_shape.len() / 20;
                        assert!(different.count() >= enough, "{a:?} {b:?} {size} {look:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_template_has_no_colour_and_every_look_is_anti_aliased() {
        for icon in Icon::ALL {
            for look in Look::ALL {
                let pixels = icon.pixels(22, look);
                assert_eq!(pixels.rgba.len(), 22 * 22 * 4);
                let soft = pixels
                    .rgba
                    .chunks_exact(4)
                    .any(|p| (1..255).contains(&p[3]));
                assert!(soft, "{icon:?} {look:?}");
            }
            let template = icon.pixels(22, Look::Template);
            assert!(template.rgba.chunks_exact(4).all(|p| p[..3] == [0, 0, 0]));
        }
    }

    #[test]
    fn light_and_dark_looks_have_the_same_shape() {
        for icon in Icon::ALL {
            let template = shape(icon, 24, Look::Template);
            for look in [Look::Colour, Look::OnDark, Look::OnLight] {
                assert_eq!(shape(icon, 24, look), template, "{icon:?} {look:?}");
            }
        }
    }

    #[test]
    fn odd_sizes_are_drawn_at_the_limit() {
        assert_eq!(Icon::Ready.pixels(0, Look::Colour).size, 8);
        assert_eq!(Icon::Ready.pixels(u16::MAX, Look::Template).size, 512);
    }
}
