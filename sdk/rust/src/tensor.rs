//! Tensors of a forward: handles with operators.

use crate::abi::{self, keel_run, keel_tensor};
use core::marker::PhantomData;
use core::ops::{Add, Div, Mul, Sub};

/// A value of one run, valid while its forward runs. The first op that fails says why to the host;
/// what follows it is a no-op, so expressions need no checks in between.
#[derive(Clone, Copy)]
pub struct Tensor<'r> {
    run: *mut keel_run,
    id: keel_tensor,
    life: PhantomData<&'r ()>,
}

/// Op `$name` of a run's table.
macro_rules! op {
    ($run:expr, $name:ident $(, $arg:expr)*) => {{
        let run = $run;
        // SAFETY: a run's first word is its table.
        #[allow(unused_unsafe)]
        let ops = unsafe { (*run).ops };
        $crate::host::call!(ops, keel_ops, $name, run $(, $arg)*)
    }};
}
pub(crate) use op;

impl<'r> Tensor<'r> {
    /// # Safety
    /// `run` and `id` are of the forward that `'r` stands for.
    pub(crate) unsafe fn from_raw(run: *mut keel_run, id: keel_tensor) -> Self {
        Tensor { run, id, life: PhantomData }
    }

    /// For ops that have no method here.
    pub fn run(self) -> *mut keel_run {
        self.run
    }

    pub fn id(self) -> keel_tensor {
        self.id
    }

    /// Another value of the same run.
    pub(crate) fn with(self, id: keel_tensor) -> Self {
        Tensor { id, ..self }
    }

    /// 0 keeps a size and -1 is inferred: the number of tokens has no value in a recorded graph.
    pub fn view(self, dims: &[i64]) -> Self {
        self.with(op!(self.run, view, self.id, dims.len() as u32, dims.as_ptr()))
    }

    /// [N, H * D] -> [N, H, D].
    pub fn heads(self, head_dim: i64) -> Self {
        self.view(&[0, -1, head_dim])
    }

    /// [N, H, D] -> [N, H * D].
    pub fn flat(self) -> Self {
        self.view(&[0, -1])
    }

    pub fn narrow(self, dim: i32, start: i64, length: i64) -> Self {
        self.with(op!(self.run, narrow, self.id, dim, start, length))
    }

    pub fn cast(self, dtype: u32) -> Self {
        self.with(op!(self.run, cast, self.id, dtype))
    }

    pub fn softmax(self, dim: i32) -> Self {
        self.with(op!(self.run, softmax, self.id, dim))
    }

    /// `kind`: KEEL_UNARY_*.
    pub fn unary(self, kind: u32) -> Self {
        self.with(op!(self.run, unary, self.id, kind))
    }

    /// `act`: KEEL_ACT_*.
    pub fn act(self, act: u32) -> Self {
        self.unary(abi::KEEL_UNARY_ACT + act)
    }

    /// act(self) * up.
    pub fn act_mul(self, up: Self, act: u32) -> Self {
        self.with(op!(self.run, act_mul, self.id, up.id, act))
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident) => {
        impl<'r> $trait for Tensor<'r> {
            type Output = Tensor<'r>;
            fn $method(self, other: Tensor<'r>) -> Tensor<'r> {
                self.with(op!(self.run, $op, self.id, other.id))
            }
        }
    };
}
operator!(Add, add, add);
operator!(Sub, sub, sub);
operator!(Mul, mul, mul);
operator!(Div, div, div);

impl<'r> Mul<f64> for Tensor<'r> {
    type Output = Tensor<'r>;
    fn mul(self, factor: f64) -> Tensor<'r> {
        self.with(op!(self.run, affine, self.id, factor, 0.0))
    }
}

impl<'r> Add<f64> for Tensor<'r> {
    type Output = Tensor<'r>;
    fn add(self, term: f64) -> Tensor<'r> {
        self.with(op!(self.run, affine, self.id, 1.0, term))
    }
}
