//! WGSL's uniformity rule, which browsers enforce and naga does not: no barrier may stand where control flow may differ
//! between the invocations of a workgroup.
//!
//! The analysis of the WGSL specification ("Uniformity", 15.2) on naga's modules, stricter in one way: a variable that somewhere
//! takes a value that may differ counts as different everywhere. As in the specification, a struct is as different as its
//! most different member.

use naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, LocalVariable, Module, Statement,
    StorageAccess,
};

/// Says which barrier of a module may be reached by some invocations alone.
pub(crate) fn check(module: &Module) -> Result<(), String> {
    for point in &module.entry_points {
        let differs = point.function.arguments.iter().map(|a| !matches!(&a.binding, Some(b) if is_uniform(b)));
        let mut call = Call::new(module, &point.function, differs.collect());
        call.run(false);
        if let Some(fault) = call.fault {
            return Err(fault);
        }
    }
    Ok(())
}

fn is_uniform(binding: &Binding) -> bool {
    matches!(binding, Binding::BuiltIn(BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups))
}

/// One call of a function: what may differ between invocations. All but what was left only grows.
struct Call<'a> {
    module: &'a Module,
    function: &'a Function,
    /// Of each argument; of what it points to, if it is a pointer.
    arguments: Vec<bool>,
    locals: Vec<bool>,
    values: Vec<bool>,
    /// Results of calls and of other statements.
    results: Vec<bool>,
    returned: bool,
    /// A `return`, or a `break` or `continue` of the innermost loop, that some invocations may take alone.
    left_function: bool,
    left_loop: bool,
    fault: Option<String>,
}

impl<'a> Call<'a> {
    fn new(module: &'a Module, function: &'a Function, arguments: Vec<bool>) -> Self {
        let (expressions, locals) = (function.expressions.len(), function.local_variables.len());
        Self {
            module,
            function,
            arguments,
            locals: vec![false; locals],
            values: vec![false; expressions],
            results: vec![false; expressions],
            returned: false,
            left_function: false,
            left_loop: false,
            fault: None,
        }
    }

    /// Walks the body, entered by only some invocations if `flow`, until nothing new is found.
    fn run(&mut self, flow: bool) {
        let mut known = None;
        loop {
            let now = (self.arguments.clone(), self.locals.clone(), self.results.clone());
            if known.as_ref() == Some(&now) {
                return;
            }
            known = Some(now);
            self.left_function = false;
            self.evaluate();
            self.walk(&self.function.body, flow);
        }
    }

    /// Operands stand before what uses them, so one pass is enough.
    fn evaluate(&mut self) {
        for (handle, expression) in self.function.expressions.iter() {
            self.values[handle.index()] = self.value(handle, expression);
        }
    }

    fn value(&self, handle: Handle<Expression>, expression: &Expression) -> bool {
        let of = |handle: Handle<Expression>| self.values[handle.index()];
        match *expression {
            Expression::Literal(_) | Expression::Constant(_) | Expression::ZeroValue(_) => false,
            Expression::ArrayLength(_) => false,
            Expression::Compose { ref components, .. } => components.iter().copied().any(of),
            Expression::Access { base, index } => of(base) || of(index),
            Expression::AccessIndex { base, .. } => of(base),
            Expression::Splat { value, .. } | Expression::Swizzle { vector: value, .. } => of(value),
            Expression::FunctionArgument(index) => self.arguments[index as usize],
            Expression::GlobalVariable(var) => match self.module.global_variables[var].space {
                AddressSpace::Uniform => false,
                AddressSpace::Storage { access } => access.contains(StorageAccess::STORE),
                _ => true,
            },
            Expression::LocalVariable(var) => self.locals[var.index()],
            Expression::Load { pointer } => of(pointer),
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => of(expr),
            Expression::Binary { left, right, .. } => of(left) || of(right),
            Expression::Select { condition, accept, reject } => of(condition) || of(accept) || of(reject),
            Expression::Relational { argument, .. } => of(argument),
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                [Some(arg), arg1, arg2, arg3].into_iter().flatten().any(of)
            }
            Expression::CallResult(_) | Expression::AtomicResult { .. } => self.results[handle.index()],
            Expression::WorkGroupUniformLoadResult { .. } => false,
            Expression::SubgroupOperationResult { .. } => self.results[handle.index()],
            Expression::CooperativeLoad { ref data, .. } => of(data.pointer) || of(data.stride),
            Expression::CooperativeMultiplyAdd { a, b, c } => of(a) || of(b) || of(c),
            ref other => panic!("no kernel had {other:?} when this was written: teach it here"),
        }
    }

    /// Returns whether invocations may differ after the block.
    fn walk(&mut self, block: &'a Block, mut flow: bool) {
        for statement in block {
            flow |= self.left_loop || self.left_function;
            match *statement {
                Statement::Emit(_) => {}
                Statement::Block(ref block) => self.walk(block, flow),
                Statement::If { condition, ref accept, ref reject } => {
                    let flow = flow || self.values[condition.index()];
                    self.walk(accept, flow);
                    self.walk(reject, flow);
                }
                Statement::Loop { ref body, ref continuing, break_if } => {
                    self.walk_loop([body, continuing], break_if, flow)
                }
                Statement::Break | Statement::Continue => self.left_loop |= flow,
                Statement::Return { value } => {
                    self.left_function |= flow;
                    self.returned |= flow || value.is_some_and(|value| self.values[value.index()]);
                }
                Statement::ControlBarrier(_) => self.barrier(flow),
                Statement::Store { pointer, value } => {
                    let [at, what] = [pointer, value].map(|handle| self.values[handle.index()]);
                    self.store(pointer, flow || at || what);
                }
                Statement::Call { function, ref arguments, result } => self.call(function, arguments, result, flow),
                // The same for all, if all look at the same place.
                Statement::WorkGroupUniformLoad { pointer, .. } => {
                    self.barrier(flow || self.is_place_different(pointer))
                }
                // All of a subgroup must be there: here, all of the workgroup.
                Statement::SubgroupGather { result, .. } | Statement::SubgroupCollectiveOperation { result, .. } => {
                    self.barrier(flow);
                    self.results[result.index()] = true;
                }
                Statement::CooperativeStore { .. } => self.barrier(flow),
                Statement::Atomic { result, .. } => {
                    if let Some(result) = result {
                        self.results[result.index()] = true;
                    }
                }
                ref other => panic!("no kernel had {other:?} when this was written: teach it here"),
            }
        }
    }

    fn walk_loop(&mut self, blocks: [&'a Block; 2], break_if: Option<Handle<Expression>>, flow: bool) {
        let outer = std::mem::take(&mut self.left_loop);
        loop {
            let before = (self.left_loop, self.left_function);
            blocks.into_iter().for_each(|block| self.walk(block, flow));
            self.left_loop |= break_if.is_some_and(|condition| self.values[condition.index()]);
            if (self.left_loop, self.left_function) == before {
                break;
            }
        }
        self.left_loop = outer;
    }

    fn call(
        &mut self,
        function: Handle<Function>,
        arguments: &[Handle<Expression>],
        result: Option<Handle<Expression>>,
        flow: bool,
    ) {
        let given = arguments.iter().map(|argument| self.values[argument.index()]).collect();
        let mut call = Self::new(self.module, &self.module.functions[function], given);
        call.run(flow);
        for (&argument, &differs) in arguments.iter().zip(&call.arguments) {
            self.store(argument, differs);
        }
        if let Some(result) = result {
            self.results[result.index()] |= call.returned;
        }
        if let Some(fault) = call.fault.take() {
            self.fault.get_or_insert(format!("{} < {}", fault, self.name()));
        }
    }

    /// Whether invocations may mean different places, whatever lies there.
    fn is_place_different(&self, pointer: Handle<Expression>) -> bool {
        match self.function.expressions[pointer] {
            Expression::GlobalVariable(_) | Expression::LocalVariable(_) => false,
            Expression::Access { base, index } => self.values[index.index()] || self.is_place_different(base),
            Expression::AccessIndex { base, .. } => self.is_place_different(base),
            _ => self.values[pointer.index()],
        }
    }

    /// Notes what a variable may now hold. What is no pointer to a variable of this function is not tracked.
    fn store(&mut self, pointer: Handle<Expression>, differs: bool) {
        let expressions = &self.function.expressions;
        match expressions[pointer] {
            Expression::LocalVariable(var) => self.locals[Handle::<LocalVariable>::index(var)] |= differs,
            Expression::FunctionArgument(index) => self.arguments[index as usize] |= differs,
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.store(base, differs),
            _ => {}
        }
    }

    fn barrier(&mut self, flow: bool) {
        if flow {
            let fault = format!("a barrier that some invocations may reach alone: {}", self.name());
            self.fault.get_or_insert(fault);
        }
    }

    fn name(&self) -> &str {
        self.function.name.as_deref().unwrap_or("main")
    }
}

/// Snippets that stand where the dots are in a kernel with thread `t`, workgroup `w`, uniform `u` and barrier `b()`.
#[cfg(test)]
mod tests {
    fn verdict(body: &str) -> Result<(), String> {
        let wgsl = format!(
            "struct S {{ a: u32, t: u32 }}
            @group(0) @binding(0) var<uniform> u: vec4<u32>;
            @group(0) @binding(1) var<storage, read> r: array<u32>;
            @group(0) @binding(2) var<storage, read_write> rw: array<u32>;
            @group(0) @binding(3) var<storage, read_write> at: atomic<u32>;
            var<workgroup> m: array<u32, 4>;
            fn b() {{ workgroupBarrier(); }}
            fn both(a: u32, t: u32) -> S {{ return S(a, t); }}
            fn put(p: ptr<function, u32>, x: u32) {{ *p = x; }}
            fn bail(x: u32) {{ if x > 1 {{ return; }} m[0] = x; }}
            @compute @workgroup_size(4)
            fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) w: vec3<u32>) {{ {body} }}"
        );
        let (module, _) = crate::shaders::validated(&wgsl, crate::shaders::Needs::default())
            .unwrap_or_else(|error| panic!("{error}"));
        super::check(&module)
    }

    #[test]
    fn accepts_what_is_the_same_for_all() {
        for body in [
            "b(); if t > 1 { m[t] = 1; }",
            "if w.x > u.x { return; } b();",
            "for (var i = 0u; i < u.y; i++) { b(); }",
            "for (var i = t; i < 9; i++) { m[t] = i; } b();",
            "for (var half = 4u; half > 0; half /= 2) { if t < half { m[t] = 1; } b(); }",
            "if r[w.x] > 1 { b(); }",
            "bail(t); b();",
            "var x = 1u; put(&x, w.x); if x > 0 { b(); }",
            "let s = both(w.x, u.x); if s.a > 0 { b(); }",
            "if t == 0 { m[0] = rw[0]; } let x = workgroupUniformLoad(&m); if x[0] > 0 { b(); }",
            "var x = r[w.x]; while x > 0 { x = workgroupUniformLoad(&m[w.x]); }",
            "if t > 1 { atomicAdd(&at, 1u); } b();",
        ] {
            assert_eq!(verdict(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn refuses_what_may_differ() {
        for body in [
            "if t > 1 { b(); }",
            "if t > 1 { return; } b();",
            "for (var i = t; i < 9; i++) { b(); }",
            "for (var i = 0u; i < 9; i++) { b(); if t > i { return; } }",
            "for (var i = 0u; i < 9; i++) { if t > i { break; } b(); }",
            "for (var i = 0u; i < 9; i++) { if t > i { continue; } b(); }",
            "loop { b(); continuing { break if t > 1; } }",
            "if rw[w.x] > 1 { b(); }",
            "if m[0] > 1 { b(); }",
            "if r[t] > 1 { b(); }",
            "var x = 1u; put(&x, t); if x > 0 { b(); }",
            "var x = 1u; if t > 1 { x = 2; } if x > 1 { b(); }",
            "let s = both(w.x, t); if s.a > 0 { b(); }",
            "if t == 0 { m[0] = workgroupUniformLoad(&m[1]); }",
            "if t > 1 { return; } let x = workgroupUniformLoad(&m);",
            "let x = workgroupUniformLoad(&m[t]);",
            "if atomicLoad(&at) > 0 { b(); }",
            "let x = atomicAdd(&at, w.x); if x > 0 { b(); }",
        ] {
            assert!(verdict(body).is_err(), "{body}");
        }
    }
}
