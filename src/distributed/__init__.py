"""What a rank of a run on several devices uses: its place among the others, and their communication."""
