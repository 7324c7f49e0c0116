"""Reading the project's Python files by their syntax tree. Nothing of a project runs here."""

import ast
from collections.abc import Iterator
from pathlib import Path

from warmline.agent.project.model import Function, FunctionKind, Module, Parameter, Text
from warmline.agent.project.syntax import parse
from warmline.agent.project.yaml_files import Problems, read_text

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_DESCRIBED = (FunctionKind.GLOBAL, FunctionKind.TRANSITION)
_OWN_PACKAGES = ("functions", "flows", "_gen", "plog", "polyai")
"""What a project's files may import without it being installed (agent-project.md §4.3)."""
_WITH_FLOW = (FunctionKind.TRANSITION, FunctionKind.STEP)


def read_module(path: Path, file: str, kind: FunctionKind, problems: Problems) -> Module | None:
    """Read one Python file.

    Args:
        path: where it is.
        file: its path relative to the project, used in problems.
        kind: what its main function is, told by the folder and the name.
        problems: receives what is wrong.

    Returns:
        What the file defines and uses; None when it is not valid Python. `function` is None when it has no
        function named like the file.
    """
    source = read_text(path, file, problems)
    return None if source is None else parse_module(source, file, kind, problems)


def parse_module(source: str, file: str, kind: FunctionKind, problems: Problems) -> Module | None:
    """Do the same with the text of a file."""
    name = file.rpartition("/")[2].removesuffix(".py")
    try:
        tree = parse(source, file)
        return _module(tree, name, file, kind, problems)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        # Python's parser gives up with the last two where an expression is nested too deeply.
        line = getattr(error, "lineno", None) or 1
        reason = getattr(error, "msg", None) or str(error) or "an expression is nested too deeply"
        problems.error(
            "python-syntax",
            f"Not valid Python: {reason}.",
            file,
            line,
            f"The function `{name}` is switched off until this is corrected.",
        )
        return None


def _module(tree: ast.Module, name: str, file: str, kind: FunctionKind, problems: Problems) -> Module:
    return Module(
        file=file,
        kind=kind,
        function=_main_function(tree, name, file, kind, problems),
        names=_top_level_names(tree),
        imports=tuple(_project_imports(tree, file)),
        foreign_imports=tuple(_foreign_imports(tree)),
        state_names=frozenset(_state_names(tree)),
        flows_entered=(*_literal_calls(tree, "goto_flow"), *((f, line) for f, _, line in _transitions(tree) if f)),
        steps_entered=(
            *(("", step, line) for step, line in _literal_calls(tree, "goto_step")),
            *((flow, step, line) for flow, step, line in _transitions(tree) if step),
        ),
        leaves_flow=any(_exits(tree)),
        handoff_keys=tuple((key, line) for key, line, _ in _text_chat_keys(tree)),
        handoff_options=tuple(
            (key, option, line) for key, _, options in _text_chat_keys(tree) for option, line in options
        ),
        texts=tuple(_texts_with_references(tree, file)),
    )


def _main_function(tree: ast.Module, name: str, file: str, kind: FunctionKind, problems: Problems) -> Function | None:
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name]
    if not found:
        problems.error(
            "no-main-function",
            f"The file has no function named `{name}`.",
            file,
            1,
            f"Define `def {name}(conv: Conversation)` or rename the file.",
        )
        return None
    node = found[-1]
    if isinstance(node, ast.AsyncFunctionDef):
        problems.error("async-function", f"`{name}` must not be async.", file, node.lineno, "Use plain `def`.")
        return None
    if (yields := _first_yield(node)) is not None:
        text = f"`{name}` is a generator: calling it runs nothing of it."
        problems.error("generator-function", text, file, yields, "Use `return` instead of `yield`.")
        return None
    description, described = _decorators(node)
    if kind in _DESCRIBED and not description:
        problems.warning(
            "no-description",
            f"`{name}` has no `@func_description`.",
            file,
            node.lineno,
            'Say when to call it: `@func_description("…")`.',
        )
    parameters = _parameters(node, described, file, kind, problems)
    handoff_line = min((key.lineno for key in _dict_keys(tree) if key.value == "handoff"), default=node.lineno)
    return Function(
        name=name,
        file=file,
        line=node.lineno,
        kind=kind,
        description=description,
        parameters=parameters,
        handoff_line=handoff_line,
    )


def _first_yield(function: ast.FunctionDef) -> int | None:
    """Give the line of the function's own first `yield`; those of functions inside it are not its own."""
    waiting: list[ast.AST] = [*reversed(function.body)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return node.lineno
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += reversed([*ast.iter_child_nodes(node)])
    return None


def _decorators(node: ast.FunctionDef) -> tuple[str, dict[str, str]]:
    """Give the description and the parameters' descriptions in decorator order."""
    description, parameters = "", {}
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Name):
            continue
        texts = [_literal_text(argument) for argument in decorator.args]
        texts += [_literal_text(keyword.value) for keyword in decorator.keywords]
        if decorator.func.id == "func_description" and texts:
            description = texts[0]
        elif decorator.func.id == "func_parameter" and texts:
            parameters[texts[0]] = texts[1] if len(texts) > 1 else ""
    return description, parameters


def _parameters(
    node: ast.FunctionDef, described: dict[str, str], file: str, kind: FunctionKind, problems: Problems
) -> tuple[Parameter, ...]:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    leading = ["conv", "flow"] if kind in _WITH_FLOW else ["conv"]
    if [a.arg for a in arguments[: len(leading)]] != leading:
        problems.error(
            "signature",
            f"`{node.name}` must take {' and '.join(f'`{n}`' for n in leading)} first.",
            file,
            node.lineno,
            f"Write `def {node.name}({', '.join(leading)}, …)`.",
        )
        return ()
    for star, rest in (("*", node.args.vararg), ("**", node.args.kwarg)):
        if rest is not None:
            text = f"`{star}{rest.arg}` of `{node.name}` never gets anything: only named parameters are given."
            problems.warning("star-parameter", text, file, rest.lineno, "Name the parameters that you need.")
    if kind in (FunctionKind.START, FunctionKind.END, FunctionKind.STEP):
        return ()
    types: dict[str, str] = {}
    for argument in arguments[len(leading) :]:
        annotation = argument.annotation.id if isinstance(argument.annotation, ast.Name) else ""
        if annotation not in _TYPES:
            problems.error(
                "parameter-type",
                f"Parameter `{argument.arg}` of `{node.name}` must be str, int, float or bool.",
                file,
                argument.lineno,
                f"Write `{argument.arg}: str`.",
            )
        types[argument.arg] = _TYPES.get(annotation, "string")
        if argument.arg not in described:
            problems.warning(
                "parameter-description",
                f"Parameter `{argument.arg}` of `{node.name}` has no `@func_parameter`.",
                file,
                argument.lineno,
                f'Add `@func_parameter("{argument.arg}", "…")`.',
            )
    for name in described:
        if name not in types:
            problems.error(
                "parameter-unknown",
                f"`@func_parameter` describes `{name}`, which `{node.name}` does not take.",
                file,
                node.lineno,
                "Correct the name.",
            )
    order = [name for name in described if name in types] + [name for name in types if name not in described]
    return tuple(Parameter(name=n, type=types[n], description=described.get(n, "")) for n in order)


def _literal_text(node: ast.expr) -> str:
    try:
        return str(ast.literal_eval(node)).strip()
    except (ValueError, TypeError, SyntaxError):
        return ""


def _top_level_names(tree: ast.Module) -> frozenset[str] | None:
    names: set[str] = set()
    for node in ast.walk(ast.Module(body=list(_outside_functions(tree)), type_ignores=[])):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.ImportFrom(names=aliases, module=module, level=level):
                star = any(alias.name == "*" for alias in aliases)
                if star and (level or (module or "").partition(".")[0] in ("functions", "flows")):
                    return None
                names.update((alias.asname or alias.name) for alias in aliases)
            case ast.Import(names=aliases):
                names.update((alias.asname or alias.name.partition(".")[0]) for alias in aliases)
    return frozenset(names)


def _outside_functions(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.FunctionDef(name=node.name, args=node.args, body=[ast.Pass()], decorator_list=[], lineno=0)
        else:
            yield node


def _project_imports(tree: ast.Module, file: str) -> Iterator[tuple[str, tuple[str, ...], int]]:
    package = file.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in ("functions", "flows"):
                    yield alias.name, (), node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module.partition(".")[0] in ("functions", "flows"):
                yield module, tuple(alias.name for alias in node.names), node.lineno


def _foreign_imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    # Only what stands at the top: an import inside `try` or a function may be meant to fail.
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            modules = [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        for module in modules:
            package = module.partition(".")[0]
            if package not in _OWN_PACKAGES:
                yield package, node.lineno


def _state_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Attribute(attr="state"), attr=name):
                yield name
            case ast.Subscript(value=ast.Attribute(attr="state"), slice=ast.Constant(value=str(name))):
                yield name
            case ast.Call(
                func=ast.Name(id="setattr"), args=[ast.Attribute(attr="state"), ast.Constant(value=str(name)), _]
            ):
                yield name


def _literal_calls(tree: ast.Module, method: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=[argument, *_]) if name == method:
                yield from _literals(argument)


def _literals(node: ast.expr) -> Iterator[tuple[str, int]]:
    """Give the texts that an expression can be, as far as they stand in it."""
    match node:
        case ast.Constant(value=str(text)):
            yield text, node.lineno
        case ast.IfExp(body=body, orelse=otherwise):
            yield from _literals(body)
            yield from _literals(otherwise)


def _dict_keys(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (key for key in node.keys if isinstance(key, ast.Constant))


def _transitions(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Give (flow, step, line) of the dicts that look like a transition; names that are no literals are ""."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            names = dict(_literal_items(node))
            flow, step = names.get("goto_flow"), names.get("goto_step")
            dynamic = {"goto_flow", "goto_step"} & {key.value for key in node.keys if isinstance(key, ast.Constant)}
            if "goto_flow" in dynamic and flow is None:
                # Which flow it is only shows when it runs, so its step cannot be known either.
                continue
            if flow or step:
                yield flow or "", step or "", node.lineno


def _exits(tree: ast.Module) -> Iterator[bool]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="exit_flow")):
                yield True
            case ast.Dict():
                items = zip(node.keys, node.values, strict=True)
                yield any(
                    isinstance(key, ast.Constant)
                    and key.value == "exit_flow"
                    and not (isinstance(value, ast.Constant) and value.value is not True)
                    for key, value in items
                )


def _literal_items(node: ast.Dict) -> Iterator[tuple[str, str]]:
    for key, value in zip(node.keys, node.values, strict=True):
        match key, value:
            case ast.Constant(value=str(name)), ast.Constant(value=str(text)):
                yield name, text


def _text_chat_keys(tree: ast.Module) -> Iterator[tuple[str, int, tuple[tuple[str, int], ...]]]:
    """Give (integration, line, its options with their lines) of the dicts under `text_chat`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "text_chat" and isinstance(value, ast.Dict):
                for inner, options in zip(value.keys, value.values, strict=True):
                    if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                        yield inner.value, inner.lineno, _literal_keys(options)


def _literal_keys(node: ast.expr) -> tuple[tuple[str, int], ...]:
    keys = node.keys if isinstance(node, ast.Dict) else []
    return tuple((k.value, k.lineno) for k in keys if isinstance(k, ast.Constant) and isinstance(k.value, str))


def _texts_with_references(tree: ast.Module, file: str) -> Iterator[Text]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{{" in node.value:
            yield Text(node.value, file, node.lineno)
