"""What every page and answer needs: errors, logs, metrics, languages and delivery."""
