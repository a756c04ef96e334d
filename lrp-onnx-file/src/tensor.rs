//! Constants of a model: stored tensors, and what is computed from them.
//!
//! A stored tensor stays where it is (in the memory map) until an operator asks for its values; every length is checked
//! against the shape before that.

use std::sync::Arc;

use bytes::Bytes;
use lrp_core::kernels::entrance;
use lrp_core::{Scalar, Tensor, Weights};
use ndarray::{ArrayD, IxDyn};

use crate::file::{External, is_mapped, release};
use crate::proto::TensorProto;

/// Element types that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// IEEE half precision.
    F16,
    /// The upper half of an F32.
    BF16,
    /// 8-bit integer.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 8-bit integer without sign.
    U8,
    /// 16-bit integer without sign.
    U16,
    /// 32-bit integer without sign.
    U32,
    /// 64-bit integer without sign.
    U64,
    /// Truth value, a byte.
    Bool,
}

impl DType {
    /// From the number that the format uses.
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            1 => DType::F32,
            2 => DType::U8,
            3 => DType::I8,
            4 => DType::U16,
            5 => DType::I16,
            6 => DType::I32,
            7 => DType::I64,
            9 => DType::Bool,
            10 => DType::F16,
            11 => DType::F64,
            12 => DType::U32,
            13 => DType::U64,
            16 => DType::BF16,
            _ => return None,
        })
    }

    /// Its name, as NumPy has it.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::Bool => "bool",
        }
    }

    /// Bytes per element.
    fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 | DType::U64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::BF16 | DType::I16 | DType::U16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// The least and the largest number, of integers that weights are quantized to.
    pub fn range(self) -> Option<(f64, f64)> {
        match self {
            DType::I8 => Some((-128.0, 127.0)),
            DType::U8 => Some((0.0, 255.0)),
            DType::I16 => Some((-32768.0, 32767.0)),
            DType::U16 => Some((0.0, 65535.0)),
            _ => None,
        }
    }

    /// Whether elements are numbers of this type in the machine's byte order.
    fn is<T: Scalar>(self) -> bool {
        let name = match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            _ => return false,
        };
        cfg!(target_endian = "little") && name == T::NAME
    }

    /// Whether numbers of this type are floating-point.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }
}

/// A tensor whose value is known; cheap to clone.
#[derive(Debug, Clone)]
pub struct Constant {
    shape: Vec<usize>,
    data: Data,
    /// The type of its elements in the file, where that is known.
    dtype: Option<DType>,
    /// Whether it was computed from the scale of a dynamic quantization, which is not known here.
    from_dynamic_scale: bool,
}

#[derive(Debug, Clone)]
enum Data {
    /// Little-endian elements, as many as the shape has.
    Raw(DType, Bytes),
    Floats(Arc<[f64]>),
    Ints(Arc<[i64]>),
}

/// The values of a constant, for computing with them.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// Floating-point numbers of any width.
    Float(ArrayD<f64>),
    /// Integers of any width, and truth values as 0 and 1.
    Int(ArrayD<i64>),
}

/// Bytes that are read before they are released: whole elements of any type.
const PIECE: usize = 4 << 20;

/// The largest number of axes of any tensor.
pub const MAX_RANK: usize = 16;

/// Number of elements of a shape, unless it overflows.
pub fn volume(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |v, &d| v.checked_mul(d))
}

fn not_finite<T: Scalar>() -> String {
    format!("holds a value that is not finite in {}", T::NAME)
}

impl Constant {
    /// A stored tensor.
    ///
    /// # Errors
    /// When a dimension is negative, the element type is unknown, or there are not exactly as many values as the shape
    /// says. The text continues "tensor 'x' …".
    pub fn from_proto(tensor: &TensorProto, external: &mut External) -> Result<Self, String> {
        if tensor.dims.len() > MAX_RANK {
            return Err(format!("has {} axes; at most {MAX_RANK} are supported", tensor.dims.len()));
        }
        let shape: Vec<usize> = tensor
            .dims
            .iter()
            .map(|&d| usize::try_from(d).map_err(|_| format!("has a dimension of {d} in its shape {:?}", tensor.dims)))
            .collect::<Result<_, _>>()?;
        let len = volume(&shape).ok_or_else(|| format!("has an absurdly large shape, {shape:?}"))?;
        let code = tensor.data_type;
        let dtype = DType::from_code(code).ok_or_else(|| match code {
            8 => "holds strings, which no supported operator takes".to_owned(),
            14 | 15 => "holds complex numbers, which no supported operator takes".to_owned(),
            _ => format!("has elements of type {code}, which is not supported; export the model in float32"),
        })?;
        let complete = |have: usize, per: usize, unit: &str| {
            let want = len.checked_mul(per);
            if want == Some(have) {
                return Ok(());
            }
            let want = want.map_or_else(|| "absurdly many".to_owned(), |w| w.to_string());
            Err(format!("has {have} {unit}, its shape {shape:?} needs {want}; the file is damaged"))
        };
        let raw = match &tensor.raw_data {
            _ if tensor.data_location == 1 => Some(external.read(&tensor.external_data)?),
            raw => raw.clone(),
        };
        if let Some(raw) = raw {
            complete(raw.len(), dtype.size(), "bytes of data")?;
            return Ok(Self::new(shape, Data::Raw(dtype, raw)).of_type(dtype));
        }
        // Typed fields: small integers, truth values and half floats (as bits) all stand in `int32_data`.
        let (have, data) = match dtype {
            DType::F32 => {
                (tensor.float_data.len(), Data::Floats(tensor.float_data.iter().map(|&v| v.into()).collect()))
            }
            DType::F64 => (tensor.double_data.len(), Data::Floats(tensor.double_data.as_slice().into())),
            DType::F16 | DType::BF16 => {
                let widen = if dtype == DType::F16 { f16 } else { bf16 };
                let bits = tensor.int32_data.iter().map(|&v| u16::try_from(v & 0xffff).unwrap_or(0));
                (tensor.int32_data.len(), Data::Floats(bits.map(widen).collect()))
            }
            DType::I64 => (tensor.int64_data.len(), Data::Ints(tensor.int64_data.as_slice().into())),
            DType::U32 | DType::U64 => {
                let values = tensor.uint64_data.iter().map(|&v| v.try_into().unwrap_or(i64::MAX));
                (tensor.uint64_data.len(), Data::Ints(values.collect()))
            }
            _ => (tensor.int32_data.len(), Data::Ints(tensor.int32_data.iter().map(|&v| v.into()).collect())),
        };
        complete(have, 1, "values")?;
        Ok(Self::new(shape, data).of_type(dtype))
    }

    fn new(shape: Vec<usize>, data: Data) -> Self {
        Self { shape, data, dtype: None, from_dynamic_scale: false }
    }

    /// With the type that its elements have in the file.
    pub fn of_type(self, dtype: DType) -> Self {
        Self { dtype: Some(dtype), ..self }
    }

    /// Marked as computed from the scale of a dynamic quantization.
    pub fn marked_dynamic(self) -> Self {
        Self { from_dynamic_scale: true, ..self }
    }

    /// Whether it was computed from the scale of a dynamic quantization: that is 1 here, and rounding by it means nothing.
    pub fn is_from_dynamic_scale(&self) -> bool {
        self.from_dynamic_scale
    }

    /// Numbers in single precision, as many as the shape has.
    pub fn from_f32s(shape: Vec<usize>, values: impl ExactSizeIterator<Item = f32>) -> Option<Self> {
        let fits = volume(&shape) == Some(values.len());
        let bytes = values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
        fits.then(|| Self::new(shape, Data::Raw(DType::F32, Bytes::from(bytes))).of_type(DType::F32))
    }

    /// A vector of integers.
    pub fn ints_1d(values: &[i64]) -> Self {
        Self::new(vec![values.len()], Data::Ints(values.into()))
    }

    /// The shape, as the file has it.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of its elements in the file, where that is known.
    pub fn dtype(&self) -> Option<DType> {
        self.dtype
    }

    /// Whether its values were computed, or copied out of the file's messages.
    pub fn is_computed(&self) -> bool {
        !matches!(self.data, Data::Raw(..))
    }

    /// Whether its elements are floating-point numbers.
    pub fn is_float(&self) -> bool {
        match self.data {
            Data::Raw(dtype, _) => dtype.is_float(),
            Data::Floats(_) => true,
            Data::Ints(_) => false,
        }
    }

    /// The values as integers, row-major.
    ///
    /// # Errors
    /// When they are floating-point numbers.
    pub fn ints(&self) -> Result<Vec<i64>, String> {
        match &self.data {
            Data::Ints(values) => Ok(values.to_vec()),
            Data::Raw(dtype, bytes) if !dtype.is_float() => Ok(read_ints(*dtype, bytes)),
            _ => Err("holds floating-point numbers where integers are needed".into()),
        }
    }

    /// The values as numbers of the model's precision, row-major. Integers are converted.
    pub fn floats<T: Scalar>(&self) -> Vec<T> {
        T::enter::<Floats>(self)
    }

    fn floats_of<T: Scalar>(&self) -> Vec<T> {
        match &self.data {
            Data::Floats(values) => values.iter().map(|&v| T::of(v)).collect(),
            Data::Ints(values) => values.iter().map(|&v| T::of(v as f64)).collect(),
            Data::Raw(dtype, bytes) => {
                let mut values = Vec::with_capacity(bytes.len() / dtype.size());
                for piece in bytes.chunks(PIECE) {
                    match dtype {
                        DType::F32 => values.extend(chunks(piece).map(|b| T::of(f32::from_le_bytes(b).into()))),
                        DType::F64 => values.extend(chunks(piece).map(|b| T::of(f64::from_le_bytes(b)))),
                        DType::F16 => values.extend(chunks(piece).map(|b| T::of(f16(u16::from_le_bytes(b))))),
                        DType::BF16 => values.extend(chunks(piece).map(|b| T::of(bf16(u16::from_le_bytes(b))))),
                        _ => values.extend(read_ints(*dtype, piece).into_iter().map(|v| T::of(v as f64))),
                    }
                    release(piece);
                }
                values
            }
        }
    }

    /// The same values with the largest finite numbers of the model's precision in the place of infinities.
    pub fn limited<T: Scalar>(&self) -> Self {
        if !self.is_float() {
            return self.clone();
        }
        let mut values = self.floats::<f64>();
        if !values.iter().any(|v| v.is_infinite()) {
            return self.clone();
        }
        let most = T::max_value().wide();
        values.iter_mut().filter(|v| v.is_infinite()).for_each(|v| *v = most.copysign(*v));
        Self { data: Data::Floats(values.into()), ..self.clone() }
    }

    /// The values as a tensor of the model's precision.
    ///
    /// # Errors
    /// When a value is NaN or infinite: such a model computes nothing that could be explained.
    pub fn tensor<T: Scalar>(&self) -> Result<Tensor<T>, String> {
        T::enter::<Tensors>(self)
    }

    fn tensor_of<T: Scalar>(&self) -> Result<Tensor<T>, String> {
        let values = self.floats::<T>();
        if values.iter().any(|v| !v.is_finite()) {
            return Err(not_finite::<T>());
        }
        ArrayD::from_shape_vec(IxDyn(&self.shape), values).map_err(|e| format!("cannot be shaped: {e}"))
    }

    /// The values as a matrix, transposed if it is `transposed`, times a factor.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn matrix<T: Scalar>(&self, transposed: bool, factor: f64) -> Result<Tensor<T>, String> {
        T::enter::<Matrix>((self, transposed, factor))
    }

    fn matrix_of<T: Scalar>((constant, transposed, factor): (&Self, bool, f64)) -> Result<Tensor<T>, String> {
        let mut matrix = constant.tensor_of::<T>()?;
        if transposed {
            matrix = matrix.reversed_axes().as_standard_layout().into_owned();
        }
        if factor != 1.0 {
            matrix *= T::of(factor);
        }
        Ok(matrix)
    }

    /// The values as weights: where they stand in a file that is mapped into memory, if they are of the model's precision there; a copy
    /// otherwise.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn weights<T: Scalar>(&self) -> Result<Weights<T>, String> {
        T::enter::<InPlace>(self)
    }

    fn weights_of<T: Scalar>(&self) -> Result<Weights<T>, String> {
        let in_place = match &self.data {
            Data::Raw(dtype, bytes) if dtype.is::<T>() && is_mapped(bytes) => {
                Weights::<T>::in_place(&self.shape, bytes.clone(), release)
            }
            _ => None,
        };
        let Some(weights) = in_place else { return self.tensor().map(Weights::from) };
        for piece in weights.stored().chunks(PIECE) {
            if piece.iter().any(|v| !v.get().is_finite()) {
                return Err(not_finite::<T>());
            }
            release(bytemuck::cast_slice(piece));
        }
        Ok(weights)
    }

    /// The values, for computing with them.
    pub fn array(&self) -> Result<Array, String> {
        let shape = IxDyn(&self.shape);
        let damaged = |e| format!("cannot be shaped: {e}");
        if self.is_float() {
            ArrayD::from_shape_vec(shape, self.floats::<f64>()).map(Array::Float).map_err(damaged)
        } else {
            ArrayD::from_shape_vec(shape, self.ints()?).map(Array::Int).map_err(damaged)
        }
    }

    /// The same values in another shape of as many elements.
    pub fn reshaped(&self, shape: Vec<usize>) -> Option<Self> {
        (volume(&shape) == volume(&self.shape)).then(|| Self { shape, ..self.clone() })
    }
}

entrance!(Floats<'p, 'a, T>: &'a Constant => Vec<T>, Constant::floats_of);
entrance!(Tensors<'p, 'a, T>: &'a Constant => Result<Tensor<T>, String>, Constant::tensor_of);
entrance!(Matrix<'p, 'a, T>: (&'a Constant, bool, f64) => Result<Tensor<T>, String>, Constant::matrix_of);
entrance!(InPlace<'p, 'a, T>: &'a Constant => Result<Weights<T>, String>, Constant::weights_of);

impl From<Array> for Constant {
    fn from(array: Array) -> Self {
        match array {
            Array::Float(a) => Self::new(a.shape().to_vec(), Data::Floats(a.iter().copied().collect())),
            Array::Int(a) => Self::new(a.shape().to_vec(), Data::Ints(a.iter().copied().collect())),
        }
    }
}

/// Elements of `N` bytes; they need not be aligned.
fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).filter_map(|c| c.try_into().ok())
}

fn read_ints(dtype: DType, bytes: &[u8]) -> Vec<i64> {
    match dtype {
        DType::I8 => chunks(bytes).map(|b| i8::from_le_bytes(b).into()).collect(),
        DType::U8 => chunks(bytes).map(|b| u8::from_le_bytes(b).into()).collect(),
        DType::Bool => chunks::<1>(bytes).map(|b| i64::from(b != [0])).collect(),
        DType::I16 => chunks(bytes).map(|b| i16::from_le_bytes(b).into()).collect(),
        DType::U16 => chunks(bytes).map(|b| u16::from_le_bytes(b).into()).collect(),
        DType::I32 => chunks(bytes).map(|b| i32::from_le_bytes(b).into()).collect(),
        DType::U32 => chunks(bytes).map(|b| u32::from_le_bytes(b).into()).collect(),
        DType::I64 => chunks(bytes).map(i64::from_le_bytes).collect(),
        DType::U64 => chunks(bytes).map(|b| u64::from_le_bytes(b).try_into().unwrap_or(i64::MAX)).collect(),
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Vec::new(),
    }
}

/// IEEE half precision, from its bits.
fn f16(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let mantissa = f64::from(bits & 0x3ff);
    match i32::from(bits >> 10 & 0x1f) {
        0 => sign * mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// bfloat16, from its bits: the upper half of an f32.
fn bf16(bits: u16) -> f64 {
    f32::from_bits(u32::from(bits) << 16).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tensor: &TensorProto) -> Result<Constant, String> {
        Constant::from_proto(tensor, &mut External::default())
    }

    fn raw(data_type: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
        // One byte in front, so that elements are not aligned.
        let raw_data = Some(Bytes::from([&[0], bytes].concat()).slice(1..));
        TensorProto { data_type, dims: dims.to_vec(), raw_data, ..Default::default() }
    }

    #[test]
    fn every_float_type_widens() {
        let values = [0.0, 1.0, -2.5, 0.15625];
        let f32s: Vec<u8> = values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect();
        let f64s: Vec<u8> = values.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        let bf16s: Vec<u8> =
            values.iter().flat_map(|&v| ((v as f32).to_bits() >> 16).to_le_bytes()[..2].to_vec()).collect();
        let f16s: Vec<u8> = [0x0000u16, 0x3c00, 0xc100, 0x3100].iter().flat_map(|b| b.to_le_bytes()).collect();
        for (code, bytes) in [(1, f32s), (11, f64s), (16, bf16s), (10, f16s)] {
            let constant = read(&raw(code, &[2, 2], &bytes)).unwrap();
            assert_eq!(constant.floats::<f64>(), values, "type {code}");
            assert_eq!(constant.tensor::<f32>().unwrap().shape(), [2, 2]);
        }
    }

    #[test]
    fn weights_stay_in_a_mapped_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let in_file = |values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            std::fs::write(&path, [b"odd".as_slice(), &bytes].concat()).unwrap();
            let raw_data = Some(crate::file::map(&path).unwrap().slice(3..));
            TensorProto { data_type: 1, dims: vec![3, 1], raw_data, ..Default::default() }
        };
        let tensor = in_file(&[1.5, -2.0, 0.25]);
        let stands_at = tensor.raw_data.as_ref().unwrap().as_ptr();
        let weights = read(&tensor).unwrap().weights::<f32>().unwrap();
        assert_eq!(weights.shape(), [3, 1]);
        assert_eq!(weights.iter().collect::<Vec<_>>(), [1.5, -2.0, 0.25]);
        assert_eq!(weights.stored().as_ptr().cast(), stands_at);
        // In another precision they are a copy, and so they are if the model is in memory: that may be wanted for something else.
        let wide = read(&tensor).unwrap().weights::<f64>().unwrap();
        assert_eq!(wide.iter().collect::<Vec<_>>(), [1.5, -2.0, 0.25]);
        let loose = TensorProto { raw_data: Some(Bytes::copy_from_slice(&[0; 12])), ..tensor };
        let copied = read(&loose).unwrap().weights::<f32>().unwrap();
        assert_ne!(copied.stored().as_ptr().cast(), loose.raw_data.as_ref().unwrap().as_ptr());
        assert!(read(&in_file(&[1.0, f32::NAN, 0.0])).unwrap().weights::<f32>().unwrap_err().contains("not finite"));
    }

    #[test]
    fn half_precision_at_its_limits() {
        assert_eq!(f16(0x0001), 2f64.powi(-24));
        assert_eq!(f16(0x7bff), 65504.0);
        assert_eq!(f16(0xfc00), f64::NEG_INFINITY);
        assert!(f16(0x7e00).is_nan());
    }

    #[test]
    fn typed_fields_are_read() {
        let ints = TensorProto { data_type: 7, dims: vec![2], int64_data: vec![-1, 5], ..Default::default() };
        assert_eq!(read(&ints).unwrap().ints().unwrap(), [-1, 5]);
        let bools = TensorProto { data_type: 9, dims: vec![2], int32_data: vec![0, 1], ..Default::default() };
        assert_eq!(read(&bools).unwrap().ints().unwrap(), [0, 1]);
        let half = TensorProto { data_type: 10, int32_data: vec![0x3c00], ..Default::default() };
        assert_eq!(read(&half).unwrap().floats::<f64>(), [1.0]);
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        for (tensor, reason) in [
            (raw(1, &[2, 2], &[0; 15]), "has 15 bytes of data, its shape [2, 2] needs 16"),
            (raw(1, &[-2, 2], &[0; 16]), "dimension of -2"),
            (raw(1, &[i64::MAX, i64::MAX], &[0; 16]), "absurdly large"),
            (raw(1, &[i64::MAX], &[0; 16]), "absurdly many"),
            (raw(8, &[1], &[0; 4]), "strings"),
            (raw(99, &[1], &[0; 4]), "type 99"),
            (TensorProto { data_type: 1, dims: vec![3], float_data: vec![1.0], ..Default::default() }, "has 1 values"),
        ] {
            let text = read(&tensor).unwrap_err();
            assert!(text.contains(reason), "{text}");
        }
        assert!(read(&raw(1, &[1], &f32::NAN.to_le_bytes())).unwrap().tensor::<f32>().is_err());
        assert!(read(&raw(11, &[1], &1e300f64.to_le_bytes())).unwrap().tensor::<f32>().is_err());
    }
}
