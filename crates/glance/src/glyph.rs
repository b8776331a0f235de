//! [`Layer`]: the shapes that icons are made of, on a grid of 24 by 24 with the origin top left.
use tiny_skia::{Path, PathBuilder, Rect, Stroke, Transform};

/// Edge of the grid.
pub(crate) const GRID: f32 = 24.0;

/// Distance of a control point that makes a cubic curve a quarter of a circle of radius 1.
const QUARTER: f32 = 0.552_285;

/// A place on the grid: to the right, and down.
type Point = (f32, f32);

/// One shape. Those above the kiln are set off from it by a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// An arched oven on its hearth, seen from the front, with an open mouth.
    Kiln,
    /// A flame in the mouth.
    Fire,
    /// An arrow that leads out, below on the right.
    Arrow,
    /// Two bars, below on the right.
    Bars,
    /// A cross, below on the right.
    Cross,
    /// A dot, above on the right.
    Dot,
    /// A bar across everything.
    Slash,
}

impl Layer {
    /// Returns its outline; overlapping parts cut each other out.
    pub(crate) fn path(self) -> Option<Path> {
        let mut pen = PathBuilder::new();
        match self {
            Layer::Kiln => {
                arch(&mut pen, 2.5, 21.5, 2.0, 20.0);
                arch(&mut pen, 6.5, 17.5, 7.5, 20.0);
                pen.push_rect(Rect::from_ltrb(0.5, 20.0, 23.5, 23.0)?);
            }
            Layer::Fire => flame(&mut pen),
            Layer::Arrow => {
                pen.move_to(13.0, 16.8);
                let rest = [
                    (17.4, 16.8),
                    (17.4, 13.4),
                    (23.8, 18.5),
                    (17.4, 23.6),
                    (17.4, 20.2),
                    (13.0, 20.2),
                ];
                for (x, y) in rest {
                    pen.line_to(x, y);
                }
                pen.close();
            }
            Layer::Bars => {
                pen.push_rect(Rect::from_ltrb(13.5, 12.5, 17.0, 23.0)?);
                pen.push_rect(Rect::from_ltrb(19.5, 12.5, 23.0, 23.0)?);
            }
            Layer::Cross => {
                return line(
                    &[((14.2, 14.0), (22.6, 22.4)), ((22.6, 14.0), (14.2, 22.4))],
                    3.4,
                );
            }
            Layer::Dot => pen.push_circle(18.0, 6.0, 5.6),
            Layer::Slash => return line(&[((2.0, 1.5), (22.6, 22.6))], 2.6),
        }
        pen.finish()
    }

    /// Returns whether a gap sets it off from what lies below.
    pub(crate) fn is_set_off(self) -> bool {
        match self {
            Layer::Kiln | Layer::Fire => false,
            Layer::Arrow | Layer::Bars | Layer::Cross | Layer::Dot | Layer::Slash => true,
        }
    }
}

/// A wall with a half-round top.
fn arch(pen: &mut PathBuilder, left: f32, right: f32, top: f32, bottom: f32) {
    let radius = (right - left) / 2.0;
    let (middle, spring, reach) = (left + radius, top + radius, radius * QUARTER);
    pen.move_to(left, bottom);
    pen.line_to(left, spring);
    pen.cubic_to(left, spring - reach, middle - reach, top, middle, top);
    pen.cubic_to(middle + reach, top, right, spring - reach, right, spring);
    pen.line_to(right, bottom);
    pen.close();
}

/// A flame whose tip leans to the right.
fn flame(pen: &mut PathBuilder) {
    pen.move_to(12.6, 8.8);
    pen.cubic_to(13.2, 11.4, 16.0, 12.6, 16.0, 15.9);
    pen.cubic_to(16.0, 18.2, 14.2, 19.6, 12.0, 19.6);
    pen.cubic_to(9.8, 19.6, 8.0, 18.2, 8.0, 15.9);
    pen.cubic_to(8.0, 14.2, 8.9, 13.2, 9.6, 12.2);
    pen.cubic_to(10.0, 13.0, 10.3, 13.3, 10.9, 13.6);
    pen.cubic_to(10.9, 11.6, 11.4, 10.0, 12.6, 8.8);
    pen.close();
}

/// Straight strokes with square ends, as an outline.
fn line(strokes: &[(Point, Point)], width: f32) -> Option<Path> {
    let mut pen = PathBuilder::new();
    for ((x, y), (to_x, to_y)) in strokes {
        pen.move_to(*x, *y);
        pen.line_to(*to_x, *to_y);
    }
    let stroke = Stroke {
        width,
        ..Stroke::default()
    };
    pen.finish()?.stroke(&stroke, 1.0)
}

/// Returns the transform from the grid to an image of this many pixels.
pub(crate) fn scale(size: u16) -> Transform {
    let factor = f32::from(size) / GRID;
    Transform::from_scale(factor, factor)
}
