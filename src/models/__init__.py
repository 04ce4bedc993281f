"""The networks as MindSpore Cells: `create.create_model(name, num_classes)` builds one."""
