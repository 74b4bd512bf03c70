package ingest

func parseDOCX(p *parser, in *input, f form) (*Document, error) {
	return nil, parseError(ErrUnsupported, "x")
}
