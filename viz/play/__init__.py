"""The playground: the engine, training and a GPT in one offline page."""
