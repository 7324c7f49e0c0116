"""The `llm` brain: carries a conversation on with a language model and the project's functions as its tools."""
