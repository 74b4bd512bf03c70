"""The other side of compare.py: a LangChain pipeline as its documentation builds one.

    python pipeline.py FOLDER MODEL_DIR CHROMA_DIR

Loads every file with the usual loader for its ending, splits with RecursiveCharacterTextSplitter, embeds
with all-MiniLM-L6-v2 in sentence-transformers (PyTorch, all cores) and stores in Chroma. Files whose loader
fails, or that have none, are counted and passed over. Prints one line of JSON.
"""
import json
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
os.environ["ANONYMIZED_TELEMETRY"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"


def loader(path):
    from langchain_community import document_loaders as l

    ending = os.path.splitext(path)[1].lower()
    return {
        ".pdf": lambda: l.PyPDFLoader(path),
        ".docx": lambda: l.Docx2txtLoader(path),
        ".pptx": lambda: l.UnstructuredPowerPointLoader(path),
        ".xlsx": lambda: l.UnstructuredExcelLoader(path),
        ".html": lambda: l.BSHTMLLoader(path, open_encoding="utf-8"),
        ".csv": lambda: l.CSVLoader(path, encoding="utf-8"),
        ".eml": lambda: l.UnstructuredEmailLoader(path),
        ".epub": lambda: l.UnstructuredEPubLoader(path),
        ".odt": lambda: l.UnstructuredODTLoader(path),
        ".rtf": lambda: l.UnstructuredRTFLoader(path),
    }.get(ending, lambda: l.TextLoader(path, autodetect_encoding=True))()


def main():
    folder, model, chroma = sys.argv[1:]
    begin = time.perf_counter()
    from langchain_chroma import Chroma
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    embed = HuggingFaceEmbeddings(model_name=model, encode_kwargs={"batch_size": 32, "normalize_embeddings": True})
    store = Chroma("documents", embed, persist_directory=chroma)
    # 1,000 characters are about as much as docent's 200 tokens.
    split = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=150)
    ready = time.perf_counter()
    load = cut = add = 0.0
    files = failed = chunks = characters = 0
    for root, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            t = time.perf_counter()
            try:
                docs = loader(os.path.join(root, name)).load()
            except Exception as e:
                print(f"{name}: {type(e).__name__}: {str(e)[:100]}", file=sys.stderr)
                failed += 1
                continue
            files += 1
            load += time.perf_counter() - t
            characters += sum(len(d.page_content) for d in docs)
            t = time.perf_counter()
            parts = [p for p in split.split_documents(docs) if p.page_content.strip()]
            cut += time.perf_counter() - t
            t = time.perf_counter()
            if parts:
                # Chroma takes plain values only, and the tokenizer no halves of surrogate pairs.
                store.add_texts([p.page_content.encode("utf-8", "ignore").decode() for p in parts], [{"source": name} for _ in parts])
            add += time.perf_counter() - t
            chunks += len(parts)
    end = time.perf_counter()
    print(json.dumps({"seconds": end - begin, "start": ready - begin, "load": load, "split": cut, "embed+store": add,
                      "files": files, "failed": failed, "chunks": chunks, "characters": characters}))


main()
