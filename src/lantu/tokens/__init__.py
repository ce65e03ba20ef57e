"""One id space for text, special tokens and image codes: vocabulary, documents, grammar, the text tokenizer."""
