"""What a user asks for, as engine requests and results: prompts, masks, captions, previews, the reader of pictures."""
