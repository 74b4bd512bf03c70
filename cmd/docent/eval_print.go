package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"docent/internal/beir"
)

// printEvaluation prints tables of what was measured, and of each configuration the n queries that changed
// most in either direction.
func printEvaluation(out io.Writer, e *beir.Evaluation, n int) error {
	if len(e.Reports) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printMetrics(w, e, beir.RetrievalMetrics, "queries\tchunks\tqps\tp50 ms\tp99 ms", func(r beir.Report) string {
		return fmt.Sprintf("%d\t%d\t%.0f\t%.2f\t%.2f", r.Judged, r.Chunks, r.QPS, r.P50, r.P99)
	})
	if slices.ContainsFunc(e.Reports, func(r beir.Report) bool { return r.Answered > 0 }) {
		fmt.Fprintln(w)
		printMetrics(w, e, beir.AnswerMetrics, "questions\tp50 ms", func(r beir.Report) string {
			return fmt.Sprintf("%d\t%.0f", r.Answered, r.AnswerP50)
		})
	}
	if len(e.Differences) > 0 {
		fmt.Fprintf(w, "\n%s against %s\n", e.Metric, e.Configurations[0].Name)
		fmt.Fprintln(w, "set\tconfiguration\tdifference\t95 % interval\tp\tbetter\tsame\tworse")
		for _, d := range e.Differences {
			set := d.Set
			if set == "" {
				set = "(mean of the sets)"
			}
			fmt.Fprintf(w, "%s\t%s\t%+.4f\t%+.4f to %+.4f\t%.4f\t%d\t%d\t%d\n", set, d.Configuration, d.Mean, d.Low, d.High, d.P, d.Better, d.Same, d.Worse)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range e.Configurations[1:] {
		gains, losses := e.Changes(c.Name, n)
		printChanges(out, c.Name+" gains most", gains, e)
		printChanges(out, c.Name+" loses most", losses, e)
	}
	return nil
}

// printMetrics prints a table of those of the metrics that some set has, with a few columns more.
func printMetrics(w io.Writer, e *beir.Evaluation, metrics []beir.Metric, more string, columns func(beir.Report) string) {
	metrics = slices.DeleteFunc(slices.Clone(metrics), func(m beir.Metric) bool {
		return !slices.ContainsFunc(e.Reports, func(r beir.Report) bool { _, ok := r.Metrics[m]; return ok })
	})
	fmt.Fprint(w, "set\tconfiguration\t")
	for _, m := range metrics {
		fmt.Fprintf(w, "%s\t", strings.ReplaceAll(string(m), "_", " "))
	}
	fmt.Fprintln(w, more)
	for _, r := range e.Reports {
		fmt.Fprintf(w, "%s\t%s\t", r.Set, r.Configuration)
		for _, m := range metrics {
			if v, ok := r.Metrics[m]; ok {
				fmt.Fprintf(w, "%.4f\t", v)
			} else {
				fmt.Fprint(w, "-\t")
			}
		}
		fmt.Fprintln(w, columns(r))
	}
}

// printChanges lists queries with where each relevant document was found before and after, and for a metric of
// answers both answers.
func printChanges(out io.Writer, title string, changes []beir.Change, e *beir.Evaluation) {
	if len(changes) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", title)
	for _, c := range changes {
		fmt.Fprintf(out, "  %+.4f  %s %s: %s\n", c.Difference, c.Set, c.Before.ID, clip(strings.Join(strings.Fields(c.Before.Question), " "), 120))
		if slices.Contains(beir.AnswerMetrics, e.Metric) {
			fmt.Fprintf(out, "           expected %s\n", expectation(c.Before.Answer))
			fmt.Fprintf(out, "           before   %s\n           after    %s\n", answerLine(c.Before.Answer), answerLine(c.After.Answer))
			continue
		}
		fmt.Fprintf(out, "           %s\n", ranksLine(c.Before.Relevant, c.After.Relevant))
	}
}

// ranksLine says where each relevant document was found before and after. Both have the same documents in the
// same order.
func ranksLine(before, after []beir.Rank) string {
	name := func(rank int) string {
		if rank == 0 {
			return "-"
		}
		return fmt.Sprint(rank)
	}
	var found []string
	for i, r := range before {
		if r.Rank > 0 || after[i].Rank > 0 {
			found = append(found, fmt.Sprintf("%s: %s > %s", r.Document, name(r.Rank), name(after[i].Rank)))
		}
	}
	line := "ranks " + strings.Join(found, ", ")
	if missing := len(before) - len(found); missing > 0 {
		line += fmt.Sprintf("; %s past 10 in both", count(missing, "relevant document"))
	}
	return line
}

func expectation(a *beir.Answer) string {
	if a.Unanswerable {
		return "a refusal"
	}
	return clip(fmt.Sprintf("%q", a.Expected), 200)
}

func answerLine(a *beir.Answer) string {
	if a.Refused {
		return "refused"
	}
	return clip(strings.Join(strings.Fields(a.Text), " "), 200)
}
