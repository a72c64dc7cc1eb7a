//! Watches every index of a text: a rewritten module compares each with the length of what it indexes, and notes on the device which
//! indexes ran and which went past the end.

use std::mem::take;

use naga::{
    AddressSpace, ArraySize, BinaryOperator, Block, CooperativeData, Expression, Function, GlobalVariable, Handle,
    Literal, Module, Range, ResourceBinding, ScalarKind, Span, Statement, StorageAccess, Type, TypeInner,
    valid::{Capabilities, FunctionInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator},
};

/// Where the notes are bound: no tensor is.
pub(crate) const NOTES: u32 = 200;

/// Words of each index in the notes: whether it ran, whether it ever went past the end, and one value that did.
pub(crate) const WORDS: usize = 3;

/// A rewritten module, and the line of the text at which each of its indexes stands.
pub(crate) struct Watched {
    pub(crate) module: Module,
    pub(crate) lines: Vec<String>,
}

/// Rewrites a text. Constant indexes of arrays whose length is a constant are left alone: the compiler checks those.
///
/// # Panics
///
/// For a text that is no WGSL.
pub(crate) fn watch(wgsl: &str) -> Watched {
    let mut module =
        naga::front::wgsl::parse_str(wgsl).unwrap_or_else(|error| panic!("{}", error.emit_to_string(wgsl)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .subgroup_operations(SubgroupOperationSet::all())
        .subgroup_stages(ShaderStages::COMPUTE)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(wgsl)));
    let notes = declare(&mut module);
    let (mut functions, mut entries) = (take(&mut module.functions), take(&mut module.entry_points));
    let mut lines = Vec::new();
    let entry_infos = (0..entries.len()).map(|n| info.get_entry_point(n));
    let called = functions.iter_mut().map(|(handle, function)| (function, &info[handle]));
    let all = called.chain(entries.iter_mut().map(|entry| &mut entry.function).zip(entry_infos));
    for (function, info) in all {
        let body = take(&mut function.body);
        let mut watch = Watch { module: &module, wgsl, info, notes, function, lines: &mut lines };
        let body = watch.block(body);
        function.body = body;
    }
    (module.functions, module.entry_points) = (functions, entries);
    Watched { module, lines }
}

/// Adds the notes to a module: `var<storage, read_write> notes: array<u32>`.
fn declare(module: &mut Module) -> Handle<GlobalVariable> {
    let word = Type { name: None, inner: TypeInner::Scalar(naga::Scalar::U32) };
    let base = module.types.insert(word, Span::UNDEFINED);
    let words = Type { name: None, inner: TypeInner::Array { base, size: ArraySize::Dynamic, stride: 4 } };
    let notes = GlobalVariable {
        name: Some("notes".into()),
        space: AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE },
        binding: Some(ResourceBinding { group: 0, binding: NOTES }),
        ty: module.types.insert(words, Span::UNDEFINED),
        init: None,
        memory_decorations: naga::MemoryDecorations::empty(),
    };
    module.global_variables.append(notes, Span::UNDEFINED)
}

/// The length of something that is indexed.
enum Length {
    Constant(u32),
    /// That of the array behind this pointer, which the binding decides.
    Bound(Handle<Expression>),
}

/// One function on its way.
struct Watch<'a> {
    module: &'a Module,
    wgsl: &'a str,
    /// What the function was before: types of its own expressions.
    info: &'a FunctionInfo,
    notes: Handle<GlobalVariable>,
    function: &'a mut Function,
    lines: &'a mut Vec<String>,
}

impl Watch<'_> {
    /// The same statements, each index checked after it was evaluated.
    fn block(&mut self, block: Block) -> Block {
        let mut watched = Block::new();
        for (statement, span) in block.span_into_iter() {
            let evaluated: Vec<_> = match &statement {
                Statement::Emit(range) => range.clone().collect(),
                _ => Vec::new(),
            };
            if let Statement::CooperativeStore { target, data } = &statement {
                self.matrix(&mut watched, *target, data);
            }
            watched.push(self.inside(statement), span);
            for handle in evaluated {
                self.expression(&mut watched, handle);
            }
        }
        watched
    }

    /// A statement with the blocks in it watched.
    fn inside(&mut self, statement: Statement) -> Statement {
        match statement {
            Statement::Block(block) => Statement::Block(self.block(block)),
            Statement::If { condition, accept, reject } => {
                Statement::If { condition, accept: self.block(accept), reject: self.block(reject) }
            }
            Statement::Switch { selector, mut cases } => {
                cases.iter_mut().for_each(|case| case.body = self.block(take(&mut case.body)));
                Statement::Switch { selector, cases }
            }
            Statement::Loop { body, continuing, break_if } => {
                Statement::Loop { body: self.block(body), continuing: self.block(continuing), break_if }
            }
            other => other,
        }
    }

    fn expression(&mut self, block: &mut Block, at: Handle<Expression>) {
        match self.function.expressions[at].clone() {
            Expression::Access { base, index } => {
                let (index, length) = (self.unsigned(block, index), self.length(base));
                self.note(block, at, index, length);
            }
            Expression::AccessIndex { base, index } => {
                if let length @ Length::Bound(_) = self.length(base) {
                    let index = self.literal(index);
                    self.note(block, at, index, length);
                }
            }
            Expression::CooperativeLoad { data, .. } => self.matrix(block, at, &data),
            _ => {}
        }
    }

    fn inner(&self, expression: Handle<Expression>) -> &TypeInner {
        self.info[expression].ty.inner_with(&self.module.types)
    }

    fn length(&self, base: Handle<Expression>) -> Length {
        let inner = match *self.inner(base) {
            TypeInner::Pointer { base, .. } => &self.module.types[base].inner,
            ref inner => inner,
        };
        match *inner {
            TypeInner::Array { size: ArraySize::Dynamic, .. } => Length::Bound(base),
            TypeInner::Array { size: ArraySize::Constant(length), .. } => Length::Constant(length.get()),
            TypeInner::Vector { size, .. } | TypeInner::ValuePointer { size: Some(size), .. } => {
                Length::Constant(size as u32)
            }
            TypeInner::Matrix { columns, .. } => Length::Constant(columns as u32),
            // Members of a structure, whose number is always a constant.
            TypeInner::Struct { .. } => Length::Constant(u32::MAX),
            ref other => panic!("{other:?} has no length"),
        }
    }

    /// Checks the last element that the load or store of a matrix touches.
    fn matrix(&mut self, block: &mut Block, matrix: Handle<Expression>, data: &CooperativeData) {
        let TypeInner::CooperativeMatrix { columns, rows, .. } = *self.inner(matrix) else {
            panic!("only matrices are loaded so");
        };
        assert!(columns == rows, "all that are used are square");
        let Expression::Access { base, index } = self.function.expressions[data.pointer] else {
            panic!("a matrix begins at an element of an array");
        };
        let length = self.length(base);
        let [index, stride] = [index, data.stride].map(|value| self.unsigned(block, value));
        let last = self.literal(rows as u32 - 1);
        let row = self.binary(block, BinaryOperator::Multiply, stride, last);
        let row = self.binary(block, BinaryOperator::Add, index, row);
        let end = self.binary(block, BinaryOperator::Add, row, last);
        self.note(block, data.pointer, end, length);
    }

    /// Signed indexes as the bits they have, so that a negative one is past every end.
    fn unsigned(&mut self, block: &mut Block, index: Handle<Expression>) -> Handle<Expression> {
        match self.inner(index).scalar_kind() {
            Some(ScalarKind::Uint) => index,
            _ => self.emit(block, Expression::As { expr: index, kind: ScalarKind::Uint, convert: None }),
        }
    }

    /// Notes that an index ran, and its value if it is not below the length.
    fn note(&mut self, block: &mut Block, at: Handle<Expression>, index: Handle<Expression>, length: Length) {
        let first = (self.lines.len() * WORDS) as u32;
        self.lines.push(self.line(at));
        let length = match length {
            Length::Constant(length) => self.literal(length),
            Length::Bound(array) => self.emit(block, Expression::ArrayLength(array)),
        };
        let one = self.literal(1);
        self.store(block, first, one);
        let condition = self.binary(block, BinaryOperator::GreaterEqual, index, length);
        let mut accept = Block::new();
        self.store(&mut accept, first + 1, one);
        self.store(&mut accept, first + 2, index);
        block.push(Statement::If { condition, accept, reject: Block::new() }, Span::UNDEFINED);
    }

    /// The line of the text at which an expression stands.
    fn line(&self, at: Handle<Expression>) -> String {
        let line = self.function.expressions.get_span(at).location(self.wgsl).line_number;
        let text = self.wgsl.lines().nth(line as usize - 1).unwrap_or_default();
        format!("{}: {}", self.function.name.as_deref().unwrap_or("main"), text.trim())
    }

    fn literal(&mut self, value: u32) -> Handle<Expression> {
        self.function.expressions.append(Expression::Literal(Literal::U32(value)), Span::UNDEFINED)
    }

    fn binary(
        &mut self,
        block: &mut Block,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
    ) -> Handle<Expression> {
        self.emit(block, Expression::Binary { op, left, right })
    }

    fn emit(&mut self, block: &mut Block, expression: Expression) -> Handle<Expression> {
        let handle = self.function.expressions.append(expression, Span::UNDEFINED);
        block.push(Statement::Emit(Range::new_from_bounds(handle, handle)), Span::UNDEFINED);
        handle
    }

    fn store(&mut self, block: &mut Block, word: u32, value: Handle<Expression>) {
        let notes = Expression::GlobalVariable(self.notes);
        let base = self.function.expressions.append(notes, Span::UNDEFINED);
        let pointer = self.emit(block, Expression::AccessIndex { base, index: word });
        block.push(Statement::Store { pointer, value }, Span::UNDEFINED);
    }
}
