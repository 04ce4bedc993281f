"""The networks: `create_model(name, num_classes)` builds one, `list_models()` names them all."""

from src.models.registry import create_model, list_models

__all__ = ["create_model", "list_models"]
